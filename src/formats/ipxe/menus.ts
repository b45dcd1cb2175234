import { quote } from "../format-error.ts";
import { shownText } from "./byte-text.ts";
import { type Failure, failure, type Status } from "./failure.ts";
import type { IpxeMenu, IpxeMenuItem } from "./host.ts";
import type { IpxeLimits } from "./limits.ts";

interface Item extends IpxeMenuItem {
  readonly isDefault: boolean;
}

interface Menu {
  /** Null: the one that is meant where none is named. */
  readonly name: string | null;
  readonly title: string;
  readonly items: Item[];
}

/** The menus and forms that a script has made (core/dynui.c). */
export class IpxeMenus {
  readonly #limits: IpxeLimits;
  readonly #menus = new Map<string | null, Menu>();

  constructor(limits: IpxeLimits) {
    this.#limits = limits;
  }

  /** Makes an empty menu, in place of one of the same name. */
  create(name: string | null, title: string): Status {
    this.#menus.delete(name);
    const { menusMax } = this.#limits;
    if (this.#menus.size >= menusMax) return failure("noEntry", `more than ${menusMax} menus`);
    this.#menus.set(name, { name, title, items: [] });
    return null;
  }

  delete(name: string | null): void {
    this.#menus.delete(name);
  }

  add(name: string | null, item: Item): Status {
    const menu = this.#find(name);
    if ("reason" in menu) return menu;
    const { menuItemsMax } = this.#limits;
    if (menu.items.length >= menuItemsMax) return failure("noEntry", `more than ${menuItemsMax} items`);
    menu.items.push(item);
    return null;
  }

  has(name: string | null): Status {
    const menu = this.#find(name);
    return "reason" in menu ? menu : null;
  }

  /**
   * A menu as it is shown (hci/tui/menu_ui.c): first, the item with the label `wanted` is selected; without such a wish the
   * last one that was made the default; else the first that can be chosen.
   */
  show(name: string | null, wanted: string | null, timeoutMs: number): IpxeMenu | Failure {
    const menu = this.#find(name);
    if ("reason" in menu) return menu;
    let selected = menu.items.findIndex(({ label }) => label !== null);
    if (selected === -1) return failure("noEntry", "the menu has no item that can be chosen");
    for (const [index, { label, isDefault }] of menu.items.entries()) {
      if (label !== null && (wanted === null ? isDefault : label === wanted)) selected = index;
    }
    return { title: menu.title, items: menu.items.map(({ label, text }) => ({ label, text })), selected, timeoutMs };
  }

  #find(name: string | null): Menu | Failure {
    const menu = this.#menus.get(name);
    if (menu !== undefined) return menu;
    return failure("noEntry", name === null ? "there is no menu" : `there is no menu ${quote(shownText(name))}`);
  }
}
