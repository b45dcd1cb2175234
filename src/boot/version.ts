/** Put in by the build from package.json. */
declare const SLIPWAY_VERSION: string;

export const version: string = SLIPWAY_VERSION;
