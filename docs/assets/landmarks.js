// The theme makes a <nav> without a name for the button of every block of code, and tables that only a mouse can scroll.
new MutationObserver(() => {
  document.querySelectorAll(".md-code__nav").forEach((nav, index) => { nav.ariaLabel ??= `Code ${index + 1}`; });
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => { wrap.tabIndex = 0; });
}).observe(document.documentElement, { childList: true, subtree: true });
