// Give a picture a palette of 256 colours, which nobody sees and which is a third of the bytes.
import { readFileSync, writeFileSync } from 'node:fs';
import UPNG from 'upng-js';

const [picture] = process.argv.slice(2);
const file = readFileSync(picture);
const image = UPNG.decode(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
writeFileSync(picture, Buffer.from(UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, 256)));
