import type { EntryFileName } from "../../formats/bls.ts";
import { efiArchitecture, type UkiSystem, ukiProfileTitle, ukiSystem } from "../../formats/uki.ts";
import { compareVersions } from "../../formats/version-order.ts";
import type { FinderContext } from "../finder.ts";
import { type Candidate, optionsProblem, type Place } from "./candidate.ts";
import { checkFileName, isShown, refuseLink } from "./entry-files.ts";
import type { Companions, DescribedImage, ImageReader } from "./image-reader.ts";
import { Refusal, type Skip } from "./refusal.ts";

/**
 * The entries of unified kernel images in a place (UAPI.1, "Type #2 EFI Unified Kernel Images"): one for each profile. Null
 * where there is no such directory or it holds none.
 */
export async function readImageEntries(
  context: FinderContext,
  place: Place,
  searched: Set<string>,
  reader: ImageReader,
  skip: Skip,
): Promise<Candidate[] | null> {
  const { source, limits } = context;
  try {
    const real = await source.realPath(place.images);
    const key = `${source.volume.name}:${real}`;
    if (real === null || searched.has(key)) return null;
    searched.add(key);
    const names = (await source.list(place.images)).filter((name) => isShown(name, ".efi"));
    if (names.length === 0) return null;
    // Where there are too many, the newest are the ones to keep.
    const newestFirst = names.toSorted((a, b) => -compareVersions(a, b));
    if (names.length > limits.entriesMax) {
      const more = names.length - limits.entriesMax;
      skip(place.images, null, new Refusal(`${more} more images, at most ${limits.entriesMax} are read`));
    }
    const found: Candidate[] = [];
    for (const name of newestFirst.slice(0, limits.entriesMax)) {
      const path = `${place.images}/${name}`;
      try {
        if (found.length >= limits.entriesMax) {
          throw new Refusal(`the images before have ${found.length} entries, at most ${limits.entriesMax} are offered`);
        }
        const fileName = checkFileName(name, ".efi");
        await refuseLink(source, path, `${real}/${name}`);
        found.push(...(await readImage(context, reader, path, fileName, skip)));
      } catch (error) {
        skip(path, null, error);
      }
    }
    return found;
  } catch (error) {
    skip(place.images, null, error);
    return [];
  }
}

async function readImage(
  context: FinderContext,
  reader: ImageReader,
  path: string,
  fileName: EntryFileName,
  skip: Skip,
): Promise<Candidate[]> {
  return reader.open(path, async (file) => {
    const uki = await reader.openImage(file);
    const companions = await reader.companions(path);
    const found: Candidate[] = [];
    for (let profile = 0; profile < Math.max(1, uki.profiles.length); profile++) {
      try {
        const described = await reader.describe(file, uki, profile, companions);
        found.push(candidateOf(context, path, fileName, profile, described, companions));
      } catch (error) {
        skip(path, uki.profiles[profile]?.title ?? null, error);
      }
    }
    return found;
  });
}

function candidateOf(
  context: FinderContext,
  path: string,
  fileName: EntryFileName,
  profile: number,
  { image, options, addons }: DescribedImage,
  companions: Companions,
): Candidate {
  const system = systemOf(image.osRelease);
  const problem = optionsProblem(options, context);
  if (problem !== null) throw new Refusal(problem);
  const { name, suffix, tries } = fileName;
  const volume = context.source.volume.name;
  const idSuffix = profile === 0 ? "" : `@${profile}`;
  const told = image.profiles[profile] ?? null;
  const named = profile === 0 || told?.id == null ? [] : [`@${told.id}`];
  const file = path.slice(path.lastIndexOf("/") + 1);
  return {
    path,
    fileName,
    idSuffix,
    sort: {
      name,
      tries,
      sortKey: system.sortKey,
      machineId: null,
      version: system.version,
      suffix: ".efi",
      profile,
    },
    title: ukiProfileTitle(system.title, told, profile),
    machineId: null,
    aliases: [name, `${name}.efi`, `${name}${suffix}`, file].flatMap((each) =>
      [idSuffix, ...named].map((end) => `${each}${end}`),
    ),
    boot: {
      submenu: [],
      format: "uki",
      source: { volume, path, line: 1 },
      linux: { volume, path },
      part: profile === 0 ? null : idSuffix,
      initrd: companions.initrd,
      modules: [],
      options,
      embedded: true,
      addons,
      bootImage: null,
      devicetree: null,
      overlays: [],
      architecture: efiArchitecture(image.machine),
      version: system.version,
      tries,
      configs: [],
      unsignedInputs: [],
      variables: [],
    },
  };
}

function systemOf(osRelease: string | null): UkiSystem {
  if (osRelease === null) throw new Refusal("no section .osrel: nothing says what the image is");
  const system = ukiSystem(osRelease);
  if (system === null) throw new Refusal("PRETTY_NAME, IMAGE_ID, NAME or ID expected in the section .osrel");
  return system;
}
