import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: Linux, include/linux/swap.h (union swap_header). The signature ends the first page, whose size depends on
// the machine that made it; the header stands at 1024, in that machine's byte order.
const pageSizes = [4096, 8192, 16384, 32768, 65536];
const signatureBytes = 10;
const at = 1024;

/** What stands in the signature's place while the area holds a hibernated system. */
const hibernationSignatures = ["S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001"];

/** A swap area, or `swsuspend`: one that holds a hibernated system. */
export async function probeSwap(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const area = new ByteReader(device.head, "swap");
  for (const pageBytes of pageSizes) {
    const signature = pageBytes - signatureBytes;
    if (hibernationSignatures.some((text) => area.hasMagic(signature, text))) {
      return { type: "swsuspend", usage: "other", ...names(area) };
    }
    // The first format has neither UUID nor label, and Linux no longer takes it; it still is no filesystem.
    if (area.hasMagic(signature, "SWAP-SPACE")) return { type: "swap", usage: "swap", uuid: null, label: null };
    if (!area.hasMagic(signature, "SWAPSPACE2")) continue;
    requireFits("swap", at + 4, pages(area) * BigInt(pageBytes), device.bytes);
    return { type: "swap", usage: "swap", ...names(area) };
  }
  return null;
}

function pages(area: ByteReader): bigint {
  const bigEndian = area.u32be(at, "version") === 1;
  if (!bigEndian && area.u32le(at, "version") !== 1) {
    area.fail(`${area.u32le(at, "version")}, 1 expected`, at, "version");
  }
  const last = bigEndian ? area.u32be(at + 4, "last page") : area.u32le(at + 4, "last page");
  if (last === 0) area.fail("0, at least 1 expected", at + 4, "last page");
  return BigInt(last) + 1n;
}

function names(area: ByteReader): Pick<SuperblockFacts, "uuid" | "label"> {
  // Areas from before these fields may hold anything here; blkid looks at the same padding, which is zero otherwise.
  if (area.slice(at + 172, 8, "padding").some((byte) => byte !== 0)) return { uuid: null, label: null };
  return { uuid: uuidOrNull(area.slice(at + 12, 16, "uuid")), label: labelText(area.slice(at + 28, 16, "label")) };
}
