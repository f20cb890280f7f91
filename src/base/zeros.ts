/** Whether all bytes are zeros: four at a time where they lie so, as pages do. */
export function isZeros(bytes: Uint8Array): boolean {
  const { buffer, byteOffset, byteLength } = bytes;
  const words = byteOffset % 4 === 0 ? Math.floor(byteLength / 4) : 0;
  if (words > 0) {
    const view = new Uint32Array(buffer, byteOffset, words);
    for (let at = 0; at < words; at++) if (view[at] !== 0) return false;
  }
  for (let at = 4 * words; at < byteLength; at++) if (bytes[at] !== 0) return false;
  return true;
}
