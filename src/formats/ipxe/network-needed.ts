/** An error of a host: only a network that is not there could answer. */
export class NetworkNeeded extends Error {
  override readonly name = "NetworkNeeded";
}
