import { imageCommands } from "./commands-image.ts";
import { machineCommands } from "./commands-machine.ts";
import { menuCommands } from "./commands-menu.ts";
import { settingCommands } from "./commands-setting.ts";
import type { IpxeCommand } from "./interpreter.ts";

/** All commands, by name. */
export const ipxeCommands: ReadonlyMap<string, IpxeCommand> = new Map(
  [settingCommands, imageCommands, menuCommands, machineCommands].flatMap((table) => Object.entries(table)),
);
