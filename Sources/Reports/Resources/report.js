// What a page does for those who allow scripts; the data- attributes of plots say where the axes lie
// and what the points are. Nothing may stand here that would end the element: see PageScript.swift.
'use strict';
(() => {
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const dark = () => root.dataset.theme
    ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const name = () => { button.textContent = dark() ? 'Light' : 'Dark'; };
  button.hidden = false;
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    name();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', name);
  name();
  addEventListener('beforeprint', () => {
    for (const part of document.querySelectorAll('details')) part.open = true;
  });

  const draw = (svg, kind, attributes) => {
    const mark = document.createElementNS('http://www.w3.org/2000/svg', kind);
    for (const [key, value] of Object.entries(attributes)) mark.setAttribute(key, value);
    return svg.appendChild(mark);
  };
  const numbers = text => text.split(',').map(part => part === '' ? NaN : Number(part));
  const axis = (kind, low, high, from, length) => value => {
    const part = kind === 'logarithmic'
      ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return from + Math.min(Math.max(part, 0), 1) * length;
  };

  for (const svg of document.querySelectorAll('svg.plot')) {
    const d = svg.dataset, figure = svg.closest('figure');
    const [left, top, width, height] = [d.left, d.top, d.width, d.height].map(Number);
    const x = axis(d.xScale, +d.xLow, +d.xHigh, left, width);
    const y = axis(d.yScale, +d.yLow, +d.yHigh, top + height, -height);
    let lines = null, marks = [], tip = null;
    const read = () => [...svg.querySelectorAll('[data-series]')].map(path => {
      const [xs, ys] = [numbers(path.dataset.x), numbers(path.dataset.y)];
      return {
        name: path.dataset.series, xs, ys, px: xs.map(x), py: ys.map(y),
        remarks: (path.dataset.remarks || '').split('|'), color: path.getAttribute('class'),
      };
    });
    const nearest = (line, distance) => {
      let best = -1, least = Infinity;
      for (let i = 0; i < line.xs.length; i++) {
        if (Number.isNaN(line.ys[i])) continue;
        const here = distance(line, i);
        if (here < least) [best, least] = [i, here];
      }
      return { line, index: best, distance: least };
    };
    const hide = () => {
      for (const mark of marks) mark.remove();
      marks = [];
      if (tip) tip.remove();
      tip = null;
    };
    const show = event => {
      lines = lines || read();
      hide();
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      if (px < left - 12 || px > left + width + 12) return;
      const byColumn = d.hover === 'column';
      const distance = byColumn ? (line, i) => Math.abs(line.px[i] - px)
        : (line, i) => Math.hypot(line.px[i] - px, line.py[i] - py);
      let found = lines.map(line => nearest(line, distance)).filter(hit => hit.index >= 0);
      if (!found.length) return;
      const best = found.reduce((a, b) => b.distance < a.distance ? b : a);
      const at = best.line.xs[best.index], column = best.line.px[best.index];
      found = byColumn ? found.filter(hit => Math.abs(hit.line.px[hit.index] - column) < 6)
        : [best];
      tip = document.createElement('div');
      tip.className = 'tip';
      const say = (kind, text) => {
        const line = document.createElement(kind);
        line.textContent = text;
        tip.append(line);
        if (kind !== 'b') tip.append(document.createElement('br'));
      };
      if (byColumn) {
        say('b', `${d.xTitle} ${at.toLocaleString('en')}`);
        marks.push(draw(svg, 'line',
          { class: 'cursor', x1: column, x2: column, y1: top, y2: top + height }));
      } else {
        say('b', best.line.name);
        say('span', `FPR ${at}`);
        say('span', `TPR ${best.line.ys[best.index]}`);
        if (best.line.remarks[best.index]) say('span', best.line.remarks[best.index]);
      }
      for (const hit of found) {
        const [line, i] = [hit.line, hit.index];
        if (byColumn) {
          const where = line.xs[i] === at ? '' : ` (at ${line.xs[i].toLocaleString('en')})`;
          say('span', `${line.name} ${line.ys[i]}${where}`);
        }
        marks.push(draw(svg, 'circle', {
          class: `spot ${line.color.replace('line', '')}`, cx: line.px[i], cy: line.py[i], r: 4,
        }));
      }
      figure.append(tip);
      const inside = figure.getBoundingClientRect();
      const place = box.left - inside.left + best.line.px[best.index] / scale;
      const room = inside.width - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(room, place + 14 > room
        ? place - tip.offsetWidth - 14 : place + 14))}px`;
      tip.style.top = `${box.top - inside.top + top / scale + 4}px`;
    };
    svg.addEventListener('pointermove', show);
    svg.addEventListener('pointerdown', show);
    svg.addEventListener('pointerleave', hide);
  }
})();
