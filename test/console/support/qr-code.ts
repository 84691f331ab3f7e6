/** Reads a QR code from what is seen of a page. */
import { createRequire } from 'node:module';
import type { Locator } from 'playwright-core';

type Read = (pixels: Uint8ClampedArray, width: number, height: number) => { data: string } | null;
const read = createRequire(import.meta.url)('jsqr') as Read;

/** The text of the code on a picture of a place of the page. Undefined: there is none. */
export async function qrCodeOf(place: Locator): Promise<string | undefined> {
  const png = (await place.screenshot()).toString('base64');
  // A page of its own takes the picture apart: the policy of ours lets no picture of a script in.
  const page = await place.page().context().newPage();
  const { width, height, pixels } = await page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext('2d')!;
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    return { width: image.width, height: image.height, pixels: [...data] };
  }, `data:image/png;base64,${png}`);
  await page.close();
  return read(Uint8ClampedArray.from(pixels), width, height)?.data;
}
