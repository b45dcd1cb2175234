/** The bundler and the test runner turn a list into a module that exports the file's text. */
declare module "*.list" {
  const text: string;
  export default text;
}
