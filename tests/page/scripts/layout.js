// Looks at the page as laid out now and says, a sentence each, what a person would find wrong with it.
(limits) => {
  const EDGE = 1.5;                      // rounding of a browser's layout, in pixels
  const TARGETS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=link], "
    + "[role=tab], [role=checkbox], [role=switch], [role=menuitem], [role=option], [role=radio], [contenteditable=true]";
  const faults = [];
  const top = document.querySelector("dialog:modal") ?? document.body;

  const name = (element) => {
    const words = (element.getAttribute("aria-label") || element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    const id = element.id ? `#${element.id}` : "";
    const classes = typeof element.className === "string" && element.className ? `.${element.className.trim().split(/\s+/).join(".")}` : "";
    return `<${element.localName}${id}${classes}> "${words}"`;
  };
  const size = (box) => `${Math.round(box.width)}×${Math.round(box.height)}`;
  const style = (element) => getComputedStyle(element);
  const isShown = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })
      && box.width > 1 && box.height > 1 && box.right + scrollX > 0 && box.bottom + scrollY > 0 && !isSpokenOnly(element);
  };
  // Words for screen readers alone are cut to nothing, or to one pixel, on purpose.
  const isSpokenOnly = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const own = style(at);
      const box = at.getBoundingClientRect();
      if ((own.clipPath !== "none" || own.clip !== "auto") && (own.position === "absolute" || own.position === "fixed")) return true;
      if (box.width <= 1 && box.height <= 1 && own.overflow !== "visible") return true;
    }
    return false;
  };
  const cuts = (word) => word === "hidden" || word === "clip";
  const scrolls = (word) => word === "auto" || word === "scroll";
  const isShortened = (own) => own.textOverflow === "ellipsis" || (own.webkitLineClamp !== "none" && own.webkitLineClamp !== "");

  // The part of an element that nothing around it cuts off.
  const seen = (element) => {
    let { left, top, right, bottom } = element.getBoundingClientRect();
    for (let at = element.parentElement; at && at !== document.documentElement; at = at.parentElement) {
      const own = style(at);
      if (own.overflowX === "visible" && own.overflowY === "visible") continue;
      const box = at.getBoundingClientRect();
      if (own.overflowX !== "visible") { left = Math.max(left, box.left); right = Math.min(right, box.right); }
      if (own.overflowY !== "visible") { top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom); }
    }
    return { left, top, right, bottom, width: right - left, height: bottom - top };
  };

  // 1. Nothing is wider than the window.
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) {
    const guilty = [...document.body.querySelectorAll("*")]
      .filter((element) => isShown(element) && seen(element).right > innerWidth + EDGE)
      .filter((element, _, all) => !all.some((other) => other !== element && element.contains(other)));
    faults.push(`the page is ${wide} px wider than the window: ${guilty.slice(0, 3).map(name).join(", ")}`);
  }

  // 2. No text is cut off: what does not fit scrolls, wraps, or ends in an ellipsis.
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
  const told = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const holder = node.parentElement;
    if (!node.data.trim() || !holder || told.has(holder) || !isShown(holder)) continue;
    if (holder.closest("select, option, textarea, script, style, noscript, svg title")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) continue;
    const fault = cutOff(holder, box);
    if (fault) { told.add(holder); faults.push(fault); }
  }

  function cutOff(holder, box) {
    let isSideways = true, isDownwards = true;
    for (let at = holder; at && at !== document.documentElement; at = at.parentElement) {
      const own = style(at);
      if (isShortened(own)) return null;
      const frame = at.getBoundingClientRect();
      if (own.display !== "inline" && at !== document.body) {
        if (isSideways && cuts(own.overflowX) && (box.right > frame.right + EDGE || box.left < frame.left - EDGE))
          return `text is cut off at the side: ${name(holder)} in ${name(at)}`;
        if (isDownwards && cuts(own.overflowY) && (box.bottom > frame.bottom + EDGE || box.top < frame.top - EDGE))
          return `text is cut off below: ${name(holder)} in ${name(at)}`;
        if (at === blockOf(holder) && isSideways && own.overflowX === "visible" && box.right > frame.right + EDGE + hanging(own) && !holder.closest("svg"))
          return `text runs out of its box: ${name(holder)}`;
      }
      if (scrolls(own.overflowX)) isSideways = false;
      if (scrolls(own.overflowY)) isDownwards = false;
      if (!isSideways && !isDownwards) return null;
      if (own.position === "fixed") return null;
    }
    return null;
  }

  // Where spaces are kept, one may hang over the end of a line; nobody sees it.
  function hanging(own) { return own.whiteSpace === "pre-wrap" ? parseFloat(own.fontSize) : 0; }

  function blockOf(element) {
    let at = element;
    while (at.parentElement && style(at).display.startsWith("inline") && style(at).display === "inline") at = at.parentElement;
    return at;
  }

  // 3. What can be pressed can be hit: it lies under nothing else of its kind, and is large enough.
  const layer = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement)
      if (["fixed", "sticky"].includes(style(at).position)) return at;
    return null;
  };
  // A field in a label is pressed by way of its label.
  const hit = (element) => (element.matches("input[type=checkbox], input[type=radio]") && element.closest("label")) || element;
  const targets = [...new Set([...top.querySelectorAll(TARGETS)].filter((one) => !one.disabled && isShown(hit(one))).map(hit))]
    .map((element) => ({ element, box: seen(element), layer: layer(element) }))
    .filter(({ box }) => box.width > 1 && box.height > 1);
  for (let a = 0; a < targets.length; a++) for (let b = a + 1; b < targets.length; b++) {
    const one = targets[a], two = targets[b];
    if (one.layer !== two.layer || one.element.contains(two.element) || two.element.contains(one.element)) continue;
    const across = Math.min(one.box.right, two.box.right) - Math.max(one.box.left, two.box.left);
    const down = Math.min(one.box.bottom, two.box.bottom) - Math.max(one.box.top, two.box.top);
    if (across > EDGE && down > EDGE) faults.push(`two targets lie over each other: ${name(one.element)} and ${name(two.element)}`);
  }

  // WCAG 2.5.8: at least 24 px, or so far from others that a circle of 24 px around its middle touches none; or in a sentence.
  const least = limits.target;
  const full = (box) => box.width >= least - 0.5 && box.height >= least - 0.5;
  const middle = (box) => ({ x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 });
  const isInSentence = (element) => style(element).display === "inline"
    && [...(element.parentElement?.childNodes ?? [])].some((node) => node.nodeType === 3 && /\p{L}/u.test(node.data));
  for (const { element, box } of targets) {
    const whole = element.getBoundingClientRect();
    if (full(whole) || isInSentence(element) || whole.width - box.width > EDGE || whole.height - box.height > EDGE) continue;
    const at = middle(box);
    const near = targets.find((other) => other.element !== element && !other.element.contains(element) && !element.contains(other.element)
      && (full(other.box) ? toBox(at, other.box) : toPoint(at, middle(other.box)) - least / 2) < least / 2);
    if (near) faults.push(`a target of ${size(whole)} px is too close to another: ${name(element)} beside ${name(near.element)}`);
    else if (Math.max(whole.width, whole.height) < limits.tiny) faults.push(`a target of ${size(whole)} px is too small: ${name(element)}`);
  }
  function toPoint(a, b) { return Math.hypot(a.x - b.x, a.y - b.y); }
  function toBox(a, box) {
    return Math.hypot(Math.max(box.left - a.x, 0, a.x - box.right), Math.max(box.top - a.y, 0, a.y - box.bottom));
  }

  return faults;
}
