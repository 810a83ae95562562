// The theme makes a <nav> without a name for the button of every block of code: landmarks that nothing tells apart.
new MutationObserver(() => {
  document.querySelectorAll(".md-code__nav").forEach((nav, index) => { nav.ariaLabel ??= `Code ${index + 1}`; });
}).observe(document.documentElement, { childList: true, subtree: true });
