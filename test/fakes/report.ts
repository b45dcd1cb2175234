import { Report } from "../../src/boot/report.ts";

/** Keeps what is told instead of writing it to the kernel's log. */
export class FakeReport extends Report {
  readonly lines: string[] = [];
  /** What a person was told. */
  said = "";

  override mark(text: string): void {
    this.lines.push(text);
  }
  override failure(text: string): void {
    this.lines.push(text);
  }
  override say(text: string): void {
    this.said += text;
  }
}
