"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const dark = read("dark");
  const scheme = matchMedia("(prefers-color-scheme: dark)");

  // A colour is a whole string of the palette, and nothing else is changed.
  const painted = (node) => {
    if (typeof node === "string") return dark[node] ?? node;
    if (Array.isArray(node)) return node.map(painted);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, painted(value)]));
  };

  const draw = async () => {
    let drawn = 0;
    for (const place of document.querySelectorAll(".plot")) {
      const given = figures[place.dataset.plot];
      const figure = scheme.matches ? painted(given) : structuredClone(given);
      try {
        await Plotly.react(place, figure.data, figure.layout, {
          responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset",
        });
        drawn += 1;
      } catch (error) {
        place.textContent = `This browser cannot draw it: ${error.message}`;
        console.error(error);
      }
    }
    document.documentElement.dataset.drawn = String(drawn);
  };

  scheme.addEventListener("change", draw);
  draw();
})();
