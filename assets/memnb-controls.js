// Controls of explorers whose frames are stored in the page: a slider for numbers, buttons or a
// list for words, play, reset and a link. memnb-plots.js draws the frame that they choose.
(() => {
  "use strict";
  const PAUSE = 900; // milliseconds between the frames of an animation
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  function make(tag, parent, text = "", name = "") {
    const element = parent.appendChild(document.createElement(tag));
    element.textContent = text;
    if (name) element.className = name;
    return element;
  }

  // Each kind of control: an element that tells its place to move(), and a function that shows a
  // place and why others cannot be had.
  const KINDS = {
    slider(parent, control, move) {
      const label = make("label", parent);
      make("span", label, control.label);
      const output = make("output", label);
      const input = make("input", label);
      Object.assign(input, { type: "range", name: control.name, min: 0, step: 1 });
      input.max = control.values.length - 1;
      input.addEventListener("input", () => move(Number(input.value)));
      return (place) => {
        input.value = place;
        output.textContent = control.values[place];
        input.setAttribute("aria-valuetext", output.textContent);
      };
    },

    buttons(parent, control, move, group) {
      const field = make("fieldset", parent);
      make("legend", field, control.label);
      const row = make("div", field, "", "memnb-segments");
      const labels = control.values.map((text, k) => {
        const label = make("label", row);
        const input = make("input", label);
        Object.assign(input, { type: "radio", name: `${group}-${control.name}`, value: text });
        make("span", label, text);
        input.addEventListener("change", () => move(k));
        return label;
      });
      return (place, why) => labels.forEach((label, k) => {
        label.title = why[k];
        label.firstChild.disabled = Boolean(why[k]);
        label.firstChild.checked = k === place;
      });
    },

    select(parent, control, move) {
      const label = make("label", parent);
      make("span", label, control.label);
      const select = make("select", label);
      select.name = control.name;
      const options = control.values.map((text) => make("option", select, text));
      select.addEventListener("change", () => move(select.selectedIndex));
      return (place, why) => {
        options.forEach((option, k) => {
          option.title = why[k];
          option.disabled = Boolean(why[k]);
        });
        select.selectedIndex = place;
      };
    },
  };

  // The controls of the explorer `data` at the top of `box`; show(frame, words) is called with the
  // first frame and after every move.
  function controls(box, data, show) {
    const axes = data.controls;
    const first = axes.map((axis) => axis.start);
    let state = [...first];
    let timer = 0;

    const frame = (at) => data.frames[axes.reduce((i, a, k) => i * a.values.length + at[k], 0)];
    const exists = (at) => Array.isArray(frame(at));
    const reason = (at) => (exists(at) ? "" : data.reasons[frame(at)]);
    const moved = (k, place) => state.map((old, i) => (i === k ? place : old));

    const head = document.createElement("div");
    box.prepend(head);
    if (data.title) make("p", head, data.title, "memnb-title");
    const panel = make("div", head, "", "memnb-controls");
    const setters = axes.map((axis, k) => KINDS[axis.kind](panel, axis, (place) => {
      stop();
      move(k, place);
    }, data.id || "memnb"));
    const buttons = make("div", head, "", "memnb-buttons");
    const why = make("p", box, "", "memnb-why"); // below, as the plot must not move with its lines
    why.hidden = data.reasons.length === 0;

    function button(text, act) {
      const element = make("button", buttons, text);
      element.type = "button";
      element.addEventListener("click", act);
      return element;
    }

    // A slider goes over places that cannot be had to the next one that can, or stays.
    function move(k, place) {
      const way = Math.sign(place - state[k]);
      let to = place;
      while (axes[k].values[to] !== undefined && !exists(moved(k, to))) to += way;
      if (axes[k].values[to] !== undefined) state = moved(k, to);
      update();
    }

    function update() {
      const reasons = new Map(); // to the values that they keep out
      axes.forEach((axis, k) => {
        const here = axis.values.map((_, place) => reason(moved(k, place)));
        setters[k](state[k], here);
        here.forEach((text, place) => {
          if (!text) return;
          const out = reasons.get(text) || new Map();
          reasons.set(text, out.set(axis.label, [...(out.get(axis.label) || []), axis.values[place]]));
        });
      });
      why.replaceChildren(...[...reasons].map(([text, out]) => {
        const line = document.createElement("span");
        const values = [...out].map(([label, some]) => `${label} ${some.join(", ")}`);
        line.textContent = `Not here: ${values.join("; ")}. ${text}`;
        return line;
      }));
      const words = axes.map((axis, k) => `${axis.label} ${axis.values[state[k]]}`).join(", ");
      box.setAttribute("aria-label", `${data.title || "Explorer"}: ${words}`);
      show(frame(state), words);
    }

    function stop() {
      clearInterval(timer);
      timer = 0;
      if (play) name();
    }

    // The places of the played axis that can be had now, in order.
    const played = axes.findIndex((axis) => axis.name === data.play);
    const places = () => axes[played].values.map((_, place) => place)
      .filter((place) => exists(moved(played, place)));
    const play = played >= 0 && button("", () => {
      if (timer) {
        stop();
        return;
      }
      const next = (from) => places().find((place) => place > from);
      const again = next(state[played]) === undefined;
      move(played, again ? places()[0] : next(state[played]));
      if (still.matches) return; // one step for each press
      timer = setInterval(() => {
        if (next(state[played]) !== undefined) move(played, next(state[played]));
        if (next(state[played]) === undefined) stop();
      }, PAUSE);
      name();
    });
    function name() {
      play.textContent = still.matches ? "Step" : timer ? "Pause" : "Play";
      play.setAttribute("aria-label", `${play.textContent}: ${axes[played].label}`);
    }
    if (play) {
      name();
      still.addEventListener("change", stop);
    }

    button("Reset", () => {
      stop();
      state = [...first];
      update();
    });

    const address = data.id && globalThis.memnb && globalThis.memnb.address;
    if (address) {
      address.button(buttons, data.id, () => Object.fromEntries(axes
        .map((axis, k) => [axis.name, axis.values[state[k]], state[k] !== first[k]])
        .filter(([, , changed]) => changed)));
      address.follow(data.id, box, (values) => {
        stop();
        state = nearest(axes.map((axis, k) => placeOf(axis, values.get(axis.name), first[k])));
        update();
      });
    }

    // The place of the value that a text names: for numbers that of the nearest one.
    function placeOf(axis, text, start) {
      if (axis.values.includes(text)) return axis.values.indexOf(text);
      const numbers = axis.values.map(Number);
      const wanted = text === null || text.trim() === "" ? NaN : Number(text);
      if (Number.isNaN(wanted) || numbers.some(Number.isNaN)) return start;
      const away = numbers.map((number) => Math.abs(number - wanted));
      return away.indexOf(Math.min(...away));
    }

    // Of the combinations that have a frame the one that is the fewest places away.
    function nearest(wanted) {
      let best = first;
      let least = Infinity;
      const at = wanted.map(() => 0);
      for (let i = 0; i < data.frames.length; i++) {
        let rest = i;
        for (let k = axes.length - 1; k >= 0; k--) {
          at[k] = rest % axes[k].values.length;
          rest = (rest - at[k]) / axes[k].values.length;
        }
        const away = at.reduce((sum, place, k) => sum + Math.abs(place - wanted[k]), 0);
        if (away < least && exists(at)) [best, least] = [[...at], away];
      }
      return best;
    }

    update();
  }

  globalThis.memnb = { ...globalThis.memnb, controls };
})();
