/* An inbox's brand colour made readable. WCAG 2.2 asks 4.5 : 1 of text; 6 leaves room for the tinted
 * grounds some of it stands on. */

const TEXT_CONTRAST = 6;
const LIGHT_SURFACE = [255, 255, 255];
const DARK_SURFACE = [22, 28, 25];

/* "#1d6b45" -> [29, 107, 69], or null when it is not a six-digit hex colour. */
export function parseHex(hex) {
  if (!/^#[0-9a-f]{6}$/i.test(hex || "")) return null;
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const c = value / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/* The WCAG contrast ratio of two [r, g, b] colours, 1 to 21. */
export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/* `rgb` moved toward `pole` just far enough to be read on `surface`. */
function readableOn(surface, rgb, pole) {
  for (let share = 0; share < 1; share += 0.05) {
    const mixed = rgb.map((value, at) => Math.round(value + (pole[at] - value) * share));
    if (contrast(mixed, surface) >= TEXT_CONTRAST) return mixed;
  }
  return pole;
}

/* Sets the frame's colour properties on `root` from a hex colour; leaves the defaults when unusable. */
export function applyBrand(root, hex) {
  const brand = parseHex(hex);
  if (!brand) return;
  const white = [255, 255, 255];
  const black = [16, 20, 18];
  const ink = contrast(brand, white) >= contrast(brand, black) ? white : black;
  const set = (name, rgb) => root.style.setProperty(name, `rgb(${rgb.join(" ")})`);
  set("--brand", brand);
  set("--brand-ink", ink);
  set("--accent-on-light", readableOn(LIGHT_SURFACE, brand, black));
  set("--accent-on-dark", readableOn(DARK_SURFACE, brand, white));
}
