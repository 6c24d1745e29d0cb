// Moments on a chart's time axis: dashed lines with a flag, over shaded stretches of time.

const NEAR_PX = 10;
const FLAG_PX = 16;

/**
 * A Chart.js plugin. `marks` and `windows` are functions that return
 * [{ at, label, colour, ground, href, name }] and [{ from, to, colour }]; label, href and name may be missing.
 */
export function momentMarks(marks, { windows = () => [], flags = true } = {}) {
  return {
    id: "momentMarks",
    beforeDatasetsDraw({ ctx, chartArea: area, scales: { x } }) {
      for (const span of windows()) {
        const left = Math.max(area.left, x.getPixelForValue(span.from));
        const right = Math.min(area.right, x.getPixelForValue(span.to));
        ctx.fillStyle = span.colour;
        if (right > left) ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
      }
    },
    afterDatasetsDraw({ ctx, chartArea: area, scales: { x } }) {
      const seen = marks()
        .map((mark) => ({ ...mark, px: x.getPixelForValue(mark.at) }))
        .filter(({ px }) => px >= area.left - 1 && px <= area.right + 1);
      ctx.save();
      seen.forEach((mark, i) => {
        line(ctx, mark.px, area, mark.ground, 3, []);
        line(ctx, mark.px, area, mark.colour, 1.5, [4, 3]);
        if (flags) flag(ctx, mark, area.top);
        if (flags && mark.label) name(ctx, mark, area.top, seen[i + 1] ? seen[i + 1].px - 8 : area.right);
      });
      ctx.restore();
    },
    markAt({ chartArea: area, scales: { x } }, event) {
      if (!flags || event.y > area.top + FLAG_PX) return null;
      const near = (mark) => Math.abs(x.getPixelForValue(mark.at) - event.x) <= NEAR_PX;
      return marks().find((mark) => mark.href && near(mark)) || null;
    },
  };
}

function line(ctx, px, area, colour, width, dash) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(px, area.top);
  ctx.lineTo(px, area.bottom);
  ctx.stroke();
}

function flag(ctx, { px, colour }, top) {
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.moveTo(px - 7, top);
  ctx.lineTo(px + 7, top);
  ctx.lineTo(px, top + 11);
  ctx.fill();
}

/** Right of the flag, or left of it where the room ends. */
function name(ctx, { px, label }, top, roomEnds) {
  ctx.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const fits = px + 10 + ctx.measureText(label).width <= roomEnds;
  ctx.textAlign = fits ? "left" : "right";
  ctx.fillText(label, px + (fits ? 10 : -10), top + 10);
}
