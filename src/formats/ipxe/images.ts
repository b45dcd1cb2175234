import type { IpxeUri } from "./uri.ts";

/** A file that a script has fetched. `H` is the host's own name of it. */
export interface IpxeImage<H> {
  readonly file: H;
  readonly size: number;
  readonly script: Uint8Array | null;
  /** Byte text. */
  name: string;
  readonly uri: IpxeUri | null;
  /** Whether `module` fetched it. */
  readonly isModule: boolean;
  /** Arguments; byte text, null: none were given. */
  arguments: string | null;
  isFreedWhenRun: boolean;
  /** Whether it stays out of the initrd: a device tree or a shim. */
  isHidden: boolean;
  /** What is to be run when the script in this image ends. */
  replacement: IpxeImage<H> | null;
}

/** The list of images (core/image.c), in the order in which they were registered. */
export class IpxeImages<H> {
  readonly #list: IpxeImage<H>[] = [];
  #selected: IpxeImage<H> | null = null;
  #unnamed = 0;

  get all(): readonly IpxeImage<H>[] {
    return this.#list;
  }

  /** The image that `boot` without a name means. */
  get selected(): IpxeImage<H> | null {
    return this.#selected !== null && this.#list.includes(this.#selected) ? this.#selected : null;
  }

  find(name: string): IpxeImage<H> | null {
    return this.#list.find((image) => image.name === name) ?? null;
  }

  has(image: IpxeImage<H>): boolean {
    return this.#list.includes(image);
  }

  /** A name for an image whose URI has none. */
  nextName(): string {
    return `img${this.#unnamed++}`;
  }

  register(image: IpxeImage<H>): void {
    this.#list.push(image);
  }

  unregister(image: IpxeImage<H>): void {
    const at = this.#list.indexOf(image);
    if (at !== -1) this.#list.splice(at, 1);
  }

  select(image: IpxeImage<H>): void {
    this.#selected = image;
  }

  clearSelection(): void {
    this.#selected = null;
  }
}
