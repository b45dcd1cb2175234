/** The programs of the family. `extlinux` is `syslinux` since version 4. */
export type SyslinuxVariant = "syslinux" | "isolinux" | "pxelinux";

/** Where a name in a configuration leads. Text is UTF-8. */
export type SyslinuxLocation =
  /** On a disk absolute from the volume's root, normalised; for pxelinux as the boot server is asked for it. */
  | { readonly kind: "path"; readonly path: string }
  /** A file of a TFTP server that the configuration names (`server::path`). */
  | { readonly kind: "server"; readonly server: string; readonly path: string }
  | { readonly kind: "url"; readonly url: string };

/** What a configuration may ask of the world. Every call may reject with an error whose message is fit to be shown. */
export interface SyslinuxHost {
  readonly variant: SyslinuxVariant;
  /** The processor in the words of `uname -m`. */
  readonly cpu: string;
  /** A whole file; null where there is none. Rejects where it is larger than `bytesMax`. */
  readFile(location: SyslinuxLocation, bytesMax: number): Promise<Uint8Array | null>;
  /** The loader's own file (ldlinux.sys), which remembers choices; null where there is none. */
  loaderFile(): Promise<Uint8Array | null>;
  /** Whether there is such a file. */
  exists(location: SyslinuxLocation): Promise<boolean>;
  /**
   * The word that a bit of `sysappend` adds (`FSUUID=…` for bit 18); null: none. Bit 0 is `ip=`, 1 `BOOTIF=`, 2 `SYSUUID=`, 3
   * `CPU=`, 4 to 17 strings of SMBIOS (see `machineWord`). A word whose value is not known is an `unknownWord`.
   */
  sysappend(bit: number): string | null;
}

/** Bits that `sysappend` has (`SYSAPPEND_MAX`). */
export const sysappendBits = 19;

/** As text, for messages. */
export function locationText(location: SyslinuxLocation): string {
  if (location.kind === "path") return location.path;
  return location.kind === "url" ? location.url : `${location.server}::${location.path}`;
}

/** One text for one place. */
export function locationKey(location: SyslinuxLocation): string {
  return `${location.kind}:${locationText(location)}`;
}

/**
 * Resolves a name. On a disk it is relative to the working directory, `..` at the root stays there; for pxelinux the
 * working directory is a text that is put in front of every name that is no URL and holds no `::` (core/fs/pxe/urlparse.c).
 * White space ends a name.
 */
export function resolveName(host: Pick<SyslinuxHost, "variant">, directory: string, written: string): SyslinuxLocation {
  const name = /^[^\0- ]*/.exec(written)?.[0] ?? "";
  if (host.variant === "pxelinux")
    return namedLocation(name) ?? namedLocation(directory + name) ?? path(directory + name);
  const parts: string[] = [];
  for (const part of `${name.startsWith("/") ? "" : `${directory}/`}${name}`.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return path(`/${parts.join("/")}`);
}

/** The working directory after `chdir`. */
export function changeDirectory(host: Pick<SyslinuxHost, "variant">, directory: string, written: string): string {
  if (host.variant === "pxelinux") return namedLocation(written) === null ? directory + written : written;
  const location = resolveName(host, directory, written);
  return location.kind === "path" ? location.path : directory;
}

function path(text: string): SyslinuxLocation {
  return { kind: "path", path: text };
}

/** A URL or `server::path`; null for a plain name. */
function namedLocation(name: string): SyslinuxLocation | null {
  const colon = name.indexOf(":");
  if (colon < 0) return null;
  if (name.startsWith("://", colon)) return { kind: "url", url: name };
  if (!name.startsWith("::", colon)) return null;
  const server = name.slice(0, colon);
  const rest = name.slice(colon + 2);
  return server === "" ? path(rest) : { kind: "server", server, path: rest };
}
