package account

import (
	"fmt"
	"time"
)

// traps are honest people and programs that do something new. A detector may
// mention them quietly; it should not raise the alarm. There is a traveller,
// too: see [person.place].
var traps = []actor{
	{"trap/new-hire", newHire},
	{"trap/new-service", newService},
	{"trap/mistyped-permission", mistypedPermission},
	{"trap/key-words", keyWords},
}

// newHire comes on the twenty-first day and does what colleagues do.
func newHire(d *day) {
	if d.n < 20 {
		return
	}
	p := person{name: "zoe", set: "Developer", n: 60, console: true}
	p.live(d)
}

// newService goes live on the twenty-third day, with parameters and a folder
// of its own.
func newService(d *day) {
	if d.n < 22 {
		return
	}
	for hour := range 24 {
		at := d.at(hour, 10)
		w := d.work(at, d.as(taskRole("loyalty"), d.hex(fmt.Sprint("loyalty", d.n), 32), at).from(d.address(natProd)).using(javaAgent), 10*time.Second)
		w.param("/app/prod/loyalty/db_password", true)
		w.get(assets, fmt.Sprintf("loyalty/config/%d.json", d.IntN(6)))
		w.put(uploads, fmt.Sprintf("loyalty/%s/%d.json", d.start.Format("2006-01-02"), hour))
	}
}

// mistypedPermission is a policy that forgot a few actions for an hour.
func mistypedPermission(d *day) {
	if d.n != 17 && d.n != 25 {
		return
	}
	at := d.at(10, 20)
	s := d.as(taskRole("ledger"), d.hex(fmt.Sprint("task", "ledger", d.n/3), 32), d.clock(0, 0)).from(d.address(natProd)).using(javaAgent)
	w := d.work(at, s, 3*time.Minute)
	for range 4 {
		w.denyObject("GetObject", assets, "ledger/config/1.json")
		w.deny("sqs:ReceiveMessage", fields{"queueUrl", "https://sqs." + home + ".amazonaws.com/" + accountID + "/ledger"})
	}
	w.pause(30 * time.Minute)
	w.get(assets, "ledger/config/1.json")
}

// keyWords reads parameters whose names contain "key" and "token" as part of
// other words.
func keyWords(d *day) {
	if d.weekend() || d.n < 15 {
		return
	}
	w := d.work(d.at(11, 0), d.as(taskRole("catalog"), "catalog", d.clock(0, 1)).from(d.address(natProd)).using(javaAgent), 3*time.Second)
	w.param("/app/prod/catalog/monkey-image-size", false)
	w.param("/app/prod/catalog/keyboard-layouts", false)
	w.param("/app/prod/catalog/tokenizer-model", false)
}
