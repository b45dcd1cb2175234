import { alignUp } from "../../formats/byte-writer.ts";
import {
  type AddressRange,
  intersectRanges,
  mergeRanges,
  subtractRanges,
  wholeUnits,
} from "../../formats/memory-map.ts";
import { PlanError } from "./plan.ts";

/** The page of x86, which kexec_load(2) wants segments to start and end at. */
export const pageBytes = 4096;

/** Physical addresses have at most 52 bits (Intel SDM, volume 3, section 4.1.4): the first one that is none. */
export const addressEnd = 2 ** 52;

/** Where a part may lie. All addresses are physical. */
export interface PlaceWish {
  /** Bytes, a power of two; at least a page is used. */
  readonly align?: number;
  /** Lowest address of the first byte. */
  readonly min?: number;
  /** The address after the highest one that the last byte may have. */
  readonly max?: number;
  /** Which end of memory is tried first. */
  readonly from: "top" | "bottom";
}

/** A part for which there is no room where it has to be. */
export class PlacementError extends PlanError {
  override readonly name = "PlacementError";
}

interface Taken extends AddressRange {
  readonly name: string;
}

/** Gives each part of a plan memory of its own: whole pages of RAM, inside the bounds, never the same page twice. */
export class Placement {
  /** What parts may be placed in, free or taken: whole pages inside the bounds. */
  readonly usable: readonly AddressRange[];
  readonly bounds: AddressRange;
  readonly #remark: string;
  readonly #taken: Taken[] = [];
  #free: readonly AddressRange[];

  /** @param remark put behind every refusal: what kind of memory this is */
  constructor(usable: readonly AddressRange[], bounds: AddressRange, remark = "") {
    this.bounds = bounds;
    this.#remark = remark;
    this.usable = wholeUnits(intersectRanges(mergeRanges(usable), [bounds]), pageBytes);
    this.#free = this.usable;
  }

  /** What is left: ascending, whole pages. */
  get free(): readonly AddressRange[] {
    return this.#free;
  }

  /**
   * Takes the highest or the lowest place that is free and fits; whole pages of it. Throws {@link PlacementError} with
   * what was wanted and the largest range that there is.
   */
  place(name: string, bytes: number, wish: PlaceWish): number {
    const address = this.find(name, bytes, wish);
    this.#take(name, address, bytes);
    return address;
  }

  /** As {@link place}; null, and nothing taken, when it does not fit. */
  tryPlace(name: string, bytes: number, wish: PlaceWish): number | null {
    const address = this.#search(bytes, wish);
    if (address !== null) this.#take(name, address, bytes);
    return address;
  }

  /** As {@link place}, but nothing is taken. */
  find(name: string, bytes: number, wish: PlaceWish): number {
    const found = this.#search(bytes, wish);
    if (found !== null) return found;
    const start = Math.max(wish.min ?? 0, this.bounds.start);
    const end = Math.min(wish.max ?? addressEnd, this.bounds.end);
    const align = hex(Math.max(wish.align ?? pageBytes, pageBytes));
    return this.#refuse(
      `no room for the ${name}: ${size(bytes)} expected, aligned to ${align}, ${describeBounds(start, end)}; ${this.#largest(start, end)}`,
    );
  }

  #refuse(reason: string): never {
    throw new PlacementError(this.#remark === "" ? reason : `${reason}; ${this.#remark}`);
  }

  #search(bytes: number, { align = pageBytes, min = 0, max = addressEnd, from }: PlaceWish): number | null {
    const length = wholePages(bytes);
    const unit = Math.max(align, pageBytes);
    const candidates = intersectRanges(this.#free, [{ start: min, end: max }]);
    if (from === "top") candidates.reverse();
    for (const { start, end } of candidates) {
      const address = from === "top" ? alignDown(end - length, unit) : alignUp(start, unit);
      if (address >= start && address + length <= end) return address;
    }
    return null;
  }

  /**
   * Takes fixed addresses; whole pages, so `start` is a multiple of the page. Throws {@link PlacementError} that tells
   * what is in the way.
   */
  reserve(name: string, start: number, bytes: number): void {
    const end = start + wholePages(bytes);
    const wanted = `the ${name} has to lie at ${hex(start)}..${hex(end)}`;
    if (start % pageBytes !== 0) this.#refuse(`${wanted}: a multiple of ${hex(pageBytes)} expected`);
    if (start < this.bounds.start || end > this.bounds.end) {
      this.#refuse(`${wanted}, ${outsideOf(this.bounds)}`);
    }
    const other = this.#taken.find((taken) => taken.start < end && start < taken.end);
    if (other !== undefined) {
      this.#refuse(`${wanted}, which the ${other.name} takes (${hex(other.start)}..${hex(other.end)})`);
    }
    const missing = subtractRanges([{ start, end }], this.#free)[0];
    if (missing !== undefined) {
      this.#refuse(`${wanted}: RAM expected, but ${hex(missing.start)}..${hex(missing.end)} cannot be used`);
    }
    this.#take(name, start, bytes);
  }

  /** Whether {@link reserve} would succeed. */
  isFree(start: number, bytes: number): boolean {
    if (start % pageBytes !== 0) return false;
    return subtractRanges([{ start, end: start + Math.max(bytes, 1) }], this.#free).length === 0;
  }

  #take(name: string, start: number, bytes: number): void {
    const range = { start, end: start + wholePages(bytes) };
    this.#taken.push({ ...range, name });
    this.#free = subtractRanges(this.#free, [range]);
  }

  #largest(start: number, end: number): string {
    const ranges = intersectRanges(this.#free, [{ start, end }]);
    const largest = ranges.reduce<AddressRange | null>(
      (best, range) => (best === null || range.end - range.start > best.end - best.start ? range : best),
      null,
    );
    if (largest === null) return "nothing is free there";
    return `the largest free range there is ${size(largest.end - largest.start)} at ${hex(largest.start)}..${hex(largest.end)}`;
  }
}

/** What a part takes: at least a page, so that each has an address of its own. */
function wholePages(bytes: number): number {
  return alignUp(Math.max(bytes, 1), pageBytes);
}

function alignDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

function describeBounds(start: number, end: number): string {
  return end >= addressEnd ? `at ${hex(start)} or higher` : `in ${hex(start)}..${hex(end)}`;
}

function outsideOf(bounds: AddressRange): string {
  return `outside ${describeBounds(bounds.start, bounds.end).replace(/^(?:in|at) /, "")}, where parts may lie`;
}

/** An address or a length for messages. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

const units: readonly (readonly [bytes: number, name: string])[] = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
];

/** A length for messages: `53956608 bytes (51.5 MiB)`. */
export function size(bytes: number): string {
  const unit = units.find(([unitBytes]) => bytes >= unitBytes);
  return unit === undefined ? `${bytes} bytes` : `${bytes} bytes (${Number((bytes / unit[0]).toFixed(1))} ${unit[1]})`;
}
