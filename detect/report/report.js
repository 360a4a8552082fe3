
"use strict";
(() => {
	const form = document.getElementById("filter");
	const findings = [...document.querySelectorAll("details.finding")];
	const open = (target) => {
		for (let e = target; e; e = e.parentElement) {
			if (e instanceof HTMLDetailsElement) e.open = true;
		}
	};
	const arrive = () => {
		const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
		if (!target) return;
		if (target.hidden && form) form.reset(), filter();
		open(target);
		target.scrollIntoView();
	};
	addEventListener("hashchange", arrive);
	// On paper nothing can be opened: what matters most is printed open.
	let opened = [];
	addEventListener("beforeprint", () => {
		opened = [...document.querySelectorAll(".incident, .rule, .finding.s-critical, .finding.s-high, #coverage details")].filter((d) => !d.open && !d.hidden);
		for (const d of opened) d.open = true;
	});
	addEventListener("afterprint", () => {
		for (const d of opened) d.open = false;
	});
	if (!form) return arrive();

	const by = (id) => document.getElementById(id);
	const q = by("q"), severity = by("severity"), technique = by("technique"), rule = by("rule"), principal = by("principal");
	const text = new Map();
	const has = (f, words) => {
		if (!text.has(f)) text.set(f, f.textContent.toLowerCase());
		return words.every((w) => text.get(f).includes(w));
	};
	function filter() {
		const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
		let n = 0;
		for (const f of findings) {
			const d = f.dataset;
			const fits = (!severity.value || Number(d.severity) >= Number(severity.value)) &&
				(!technique.value || d.technique === technique.value) &&
				(!rule.value || d.rule === rule.value) &&
				(!principal.value || d.principal === principal.value) && has(f, words);
			f.hidden = !fits;
			if (fits) n++;
		}
		by("shown").value = n === findings.length ? n + (n === 1 ? " finding" : " findings") : n + " of " + findings.length;
		by("expand").textContent = allOpen() ? "Close all" : "Open all";
	}
	const shown = () => findings.filter((f) => !f.hidden);
	const allOpen = () => shown().length > 0 && shown().every((f) => f.open);
	form.addEventListener("submit", (e) => e.preventDefault());
	form.addEventListener("input", filter);
	form.addEventListener("reset", () => setTimeout(filter));
	by("expand").addEventListener("click", () => {
		const to = !allOpen();
		for (const f of shown()) f.open = to;
		by("expand").textContent = to ? "Close all" : "Open all";
	});
	for (const b of document.querySelectorAll(".heat button")) {
		b.addEventListener("click", () => {
			form.reset();
			principal.value = b.dataset.principal;
			technique.value = b.dataset.technique;
			filter();
			by("findings").scrollIntoView();
			const first = shown()[0];
			if (first) first.querySelector("summary").focus({ preventScroll: true });
		});
	}
	addEventListener("keydown", (e) => {
		if (e.ctrlKey || e.metaKey || e.altKey) return;
		if (e.key === "Escape") {
			form.reset();
			document.activeElement.blur();
			return;
		}
		if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
		if (e.key === "/") {
			e.preventDefault();
			q.focus();
		} else if (e.key === "j" || e.key === "k") {
			const list = shown();
			const at = list.findIndex((f) => f.contains(document.activeElement));
			const next = at < 0 ? list[0] : list[at + (e.key === "j" ? 1 : -1)];
			if (next) {
				next.querySelector("summary").focus();
				next.scrollIntoView({ block: "nearest" });
			}
		}
	});
	filter();
	arrive();
})();
