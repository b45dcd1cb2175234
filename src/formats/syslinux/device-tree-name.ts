/** Strings of a `compatible` that are looked at. */
const compatibleMax = 8;

/**
 * File names that a board's device tree may have below a directory as Linux installs it (`make dtbs_install`), the likeliest
 * first. U-Boot has the name built in for each board; its own guess is SOC-BOARD.dtb. Linux's names follow the board's
 * `compatible`, `vendor,board` strings from the most to the least particular (Devicetree Specification 0.4, section 2.3.1):
 * `pine64,rock64`, `rockchip,rk3328` gives `rockchip/rk3328-rock64.dtb`.
 */
export function deviceTreeNames(compatible: readonly string[]): string[] {
  const parts = compatible.slice(0, compatibleMax).map((text) => {
    const comma = text.indexOf(",");
    return { vendor: text.slice(0, Math.max(comma, 0)), name: text.slice(comma + 1) };
  });
  const names: string[] = [];
  const soc = parts.at(-1);
  if (soc === undefined || parts.some(({ vendor, name }) => !/^[A-Za-z0-9._+-]+$/.test(vendor + name))) return [];
  for (const board of parts) {
    const stems = board === soc ? [board.name] : [`${soc.name}-${board.name}`, board.name];
    for (const stem of stems) {
      for (const directory of [`${soc.vendor}/`, `${board.vendor}/`, ""]) names.push(`${directory}${stem}.dtb`);
    }
  }
  return [...new Set(names)];
}
