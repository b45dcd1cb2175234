/** The bundler and the test runner turn a built binary into a module that exports the file's bytes. */
declare module "*.bin" {
  const bytes: Uint8Array;
  export default bytes;
}
