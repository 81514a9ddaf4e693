// On every page: the cursor goes to what is wrong with a form, so that it is read at once.

document.querySelector("[data-focus]")?.focus();
