import { ByteReader } from "../bytes.ts";
import { quote } from "../format-error.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { labelText, type ProbedDevice, requireFits } from "./probe.ts";

// Layout: "LUKS1 On-Disk Format Specification" 1.2.3, section 3.1; "LUKS2 On-Disk Format Specification" 1.1.1, section
// 2.1; big-endian. The first header is judged; LUKS2's second copy serves repair.

const magic = "LUKS\xba\xbe";
/** Header with its JSON area (LUKS2 specification, table 1), bytes. */
const luks2HeaderBytes = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((kibibytes) => BigInt(kibibytes) << 10n);

/** A LUKS1 or LUKS2 container. */
export async function probeLuks(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const header = new ByteReader(device.head, "crypto_LUKS");
  if (!header.hasMagic(0, magic)) return null;
  const version = header.u16be(6, "version");
  if (version !== 1 && version !== 2) header.fail(`${version}, 1 or 2 expected`, 6, "version");
  if (version === 1) {
    requireFits("crypto_LUKS", 104, BigInt(header.u32be(104, "payload offset")) * 512n, device.bytes);
  } else {
    checkLuks2(header, device.bytes);
  }
  const uuid = header.latin1(168, 40, "uuid");
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) {
    header.fail(`${quote(uuid)} is not a UUID`, 168, "uuid");
  }
  return {
    type: "crypto_LUKS",
    usage: "crypto",
    uuid: uuid.toLowerCase(),
    label: version === 2 ? labelText(header.slice(24, 48, "label")) : null,
  };
}

function checkLuks2(header: ByteReader, deviceBytes: bigint): void {
  const headerBytes = header.u64be(8, "header size");
  if (!luks2HeaderBytes.includes(headerBytes)) {
    header.fail(`${headerBytes}, 16 KiB to 4 MiB expected`, 8, "header size");
  }
  const ownOffset = header.u64be(256, "own offset");
  if (ownOffset !== 0n) header.fail(`${ownOffset}, 0 expected`, 256, "own offset");
  requireFits("crypto_LUKS", 8, headerBytes * 2n, deviceBytes);
}
