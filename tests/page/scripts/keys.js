// Remembers what can be pressed and how it looks without the focus; then notes what the focus reaches, and how that shows.
() => {
  const TARGETS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=link], "
    + "[role=tab], [role=checkbox], [role=switch], [role=menuitem], [role=option], [role=radio]";
  // Groups in which one Tab stop stands for all, and the arrows do the rest.
  const GROUPS = "[role=tablist], [role=menu], [role=menubar], [role=listbox], [role=grid], [role=tree], [role=toolbar], [role=radiogroup]";
  const LOOKS = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "backgroundColor", "borderTopColor", "borderBottomColor",
    "color", "textDecorationLine", "strokeWidth", "stroke"];
  const name = (element) => `<${element.localName}${element.id ? `#${element.id}` : ""}> "${(element.getAttribute("aria-label")
    || element.textContent || element.getAttribute("placeholder") || "").trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  const look = (element) => { const own = getComputedStyle(element); return LOOKS.map((part) => own[part]).join("|"); };
  const top = () => document.querySelector("dialog:modal") ?? document.body;
  const isThere = (element) => !element.disabled && !element.closest("[inert]")
    && element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;
  const unfocused = new Map([...document.querySelectorAll(`${TARGETS}, [tabindex]`)].map((element) => [element, look(element)]));
  const reached = new Set();
  const faults = new Set();

  window.crewhubWalk = {
    note() {
      const now = document.activeElement;
      if (!now || now === document.body || now === document.documentElement) return null;
      const isNew = !reached.has(now);
      reached.add(now);
      const box = now.getBoundingClientRect();
      const before = unfocused.get(now);
      if (box.width < 1 || box.height < 1 || !now.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
        faults.add(`the focus is on something that is not seen: ${name(now)}`);
      else if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth)
        faults.add(`the focus is outside of the window: ${name(now)}`);
      else if (before !== undefined && before === look(now)) faults.add(`the focus does not show: ${name(now)}`);
      return { name: name(now), isNew };
    },
    end() {
      for (const element of top().querySelectorAll(TARGETS)) {
        if (!isThere(element) || reached.has(element)) continue;
        const group = element.closest(GROUPS);
        if (group && [...reached].some((one) => group.contains(one))) continue;
        if (element.type === "radio" && [...reached].some((one) => one.type === "radio" && one.name === element.name)) continue;
        faults.add(`Tab does not reach it: ${name(element)}`);
      }
      return [...faults];
    },
  };
}
