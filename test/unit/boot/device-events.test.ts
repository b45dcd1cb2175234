import { describe, expect, it } from "vitest";
import { DeviceEvents } from "../../../src/boot/device-events.ts";
import { ModuleLoader } from "../../../src/machine/modules.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { blockEvent, type FakeUeventSocket, fakeUeventSocket } from "../../fakes/uevent-socket.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function listening(): Promise<{ events: DeviceEvents; socket: FakeUeventSocket; modules: ModuleLoader }> {
  const modules = await ModuleLoader.open(fakeSystem(), "/nowhere", 1);
  const socket = fakeUeventSocket();
  const events = new DeviceEvents(socket, modules);
  void events.listen();
  return { events, socket, modules };
}

describe("DeviceEvents", () => {
  it("counts changes of block devices and wakes who waits", async () => {
    const { events, socket } = await listening();
    const woken = [events.blockChangeAfter(0), events.blockChangeAfter(0)];
    socket.send(blockEvent("vda"));
    await Promise.all(woken);
    expect(events.blockChanges).toBe(1);
  });

  it("a change that was not seen yet is not waited for", async () => {
    const { events, socket } = await listening();
    socket.send(blockEvent("vda"));
    await turn();
    await events.blockChangeAfter(0);
    let later = false;
    void events.blockChangeAfter(1).then(() => {
      later = true;
    });
    await turn();
    expect(later).toBe(false);
    socket.send(blockEvent("vdb"));
    await turn();
    expect(later).toBe(true);
  });

  it("other devices and what is no event change nothing", async () => {
    const { events, socket } = await listening();
    socket.send(bytes("add@/devices/x\0SUBSYSTEM=net\0"));
    socket.send(bytes("rubbish"));
    socket.send(new Uint8Array(0));
    await turn();
    expect(events.blockChanges).toBe(0);
    socket.send(blockEvent("vda"));
    await turn();
    expect(events.blockChanges).toBe(1);
  });

  it("loads the driver of a device that appears, not of one that leaves", async () => {
    const { socket, modules } = await listening();
    const asked: string[] = [];
    modules.loadForDevice = async (alias) => void asked.push(alias);
    socket.send(bytes("add@/devices/a\0SUBSYSTEM=usb\0MODALIAS=usb:v1\0"));
    socket.send(bytes("remove@/devices/b\0SUBSYSTEM=usb\0MODALIAS=usb:v2\0"));
    await turn();
    expect(asked).toEqual(["usb:v1"]);
  });

  it("lost events mean: look at everything", async () => {
    const { events, socket, modules } = await listening();
    let looked = 0;
    modules.coldPlug = async () => {
      looked++;
    };
    socket.send(null);
    await events.blockChangeAfter(0);
    expect(looked).toBe(1);
  });

  it("a socket that does nothing but fail leaves time for everything else", async () => {
    const modules = await ModuleLoader.open(fakeSystem(), "/nowhere", 1);
    let failures = 0;
    const never = Promise.withResolvers<null>().promise;
    const events = new DeviceEvents({ receive: () => (++failures < 1000 ? Promise.resolve(null) : never) }, modules);
    modules.coldPlug = async () => {};
    void events.listen();
    await turn();
    expect(failures).toBeLessThan(1000);
  });
});
