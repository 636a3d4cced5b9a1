import json
from typing import Any
import pytest
from click.testing import CliRunner
from flask import Flask
from portal import cli, request_log, config, idempotency
from portal.db import session, transaction
from tests import people
from tests.api.calls import App, refusal
from tests.customer import visits
from tests.customer.test_checkout import order, link, CARD, row, every
from tests.api.test_transactions import address, business

ESC="\x1b[2J\x1b]0;pwned\x07"
def test_requests_escape(app):
    s=App(app)
    from urllib.parse import quote
    s.client.get("/customers/"+quote("\x1b[2Jx\nforged line\x9b31m"), headers=s.headers|{"User-Agent":"a\x1b[31m"})
    request_log.write()
    r=CliRunner().invoke(cli.main,["requests"])
    print(repr(r.output))
    one=[l for l in r.output.split() if len(l)==36]
    r2=CliRunner().invoke(cli.main,["requests",one[0]])
    print(repr(r2.output))
    assert "\x1b" not in r.output+r2.output and "\x9b" not in r.output+r2.output

def test_invoice(app, person):
    amelia = people.customer("Amelia", email="amelia@example.com")
    txn = order(amelia); other=order(amelia)
    person.open(link(txn)); person.press("Pay $30.00", **CARD)
    from portal import links, clock
    from datetime import timedelta
    u=links.invoice_url(txn,disposition="inline",expires_at=clock.now()+timedelta(hours=1))
    p=u.removeprefix("http://localhost")
    c=app.test_client()
    print(c.get(p).status_code, dict(c.get(p).headers))
    for q in (p.replace(txn,other), p+"x", p[:-1], p.replace("/portal/invoices","/portal/payments").replace(".pdf","/invoice.pdf"), p.replace("inline","evil\r\nX:y"), p.replace("inline","x%0d%0aSet-Cookie:a=b"), p.replace(f"/portal/invoices/{txn}.pdf",f"/portal/checkout/{txn}"), p.replace(f"/portal/invoices/{txn}.pdf","/portal")):
        a=c.get(q); print(a.status_code, a.headers.get("Content-Disposition"), a.headers.get("Set-Cookie"), q[:60])
    l=link(txn).removeprefix("http://localhost")
    a=c.get(l.replace(f"/portal/checkout/{txn}",f"/portal/invoices/{txn}.pdf")); print(a.status_code)

def test_foreign_ids(app):
    s=App(app)
    a=people.customer("Amelia"); d=people.customer("Daniel")
    da,db_=address(d),business(d); aa=address(a)
    pr=people.price()
    item=[{"price_id":pr,"quantity":1}]
    sub=visits.subscribed(a); dsub=visits.subscribed(d)
    dm=people.row(dsub).payment_method_id
    U="01jcgfqad406rsfjcgq44g9djq"
    def both(method,path,mk):
        r=[]
        for x,kind in ((mk[1],"foreign"),(mk[2],"unknown")):
            ans=s.call(method,path,mk[0](x)); r.append(ans)
        al=[visits.alike(x) for x in r]
        print(method,path[:40],[x.status_code for x in r],r[0].json.get("error",{}).get("code"), "SAME" if al[0]==al[1] or al[0][0]==al[1][0] and al[0][1].replace("x","")==al[1][1].replace("x","") else (al))
    before=visits.records()
    both("POST","/transactions",(lambda x:{"items":item,"customer_id":a,"address_id":x},da,"add_"+U))
    both("POST","/transactions",(lambda x:{"items":item,"customer_id":a,"address_id":aa,"business_id":x},db_,"biz_"+U))
    both("PATCH",f"/subscriptions/{sub}",(lambda x:{"address_id":x},da,"add_"+U))
    both("PATCH",f"/subscriptions/{sub}",(lambda x:{"business_id":x},db_,"biz_"+U))
    both("PATCH",f"/subscriptions/{sub}",(lambda x:{"customer_id":x},d,"ctm_"+U))
    both("PATCH",f"/subscriptions/{sub}/preview",(lambda x:{"address_id":x},da,"add_"+U))
    both("DELETE",f"/customers/{a}/payment-methods/{dm}",(lambda x:None,1,2))
    both("GET",f"/customers/{a}/payment-methods/{dm}",(lambda x:None,1,2))
    both("PATCH",f"/customers/{a}/addresses/{da}",(lambda x:{"city":"X"},1,2))
    both("PATCH",f"/customers/{a}/businesses/{db_}",(lambda x:{"name":"X"},1,2))
    txn=s.post("/transactions",{"items":item,"customer_id":a,"address_id":aa}).json["data"]["id"]
    both("PATCH",f"/transactions/{txn}",(lambda x:{"address_id":x},da,"add_"+U))
    both("PATCH",f"/transactions/{txn}",(lambda x:{"business_id":x},db_,"biz_"+U))
    # switch customer, keep address
    r=s.patch(f"/transactions/{txn}",{"customer_id":d}); print(r.status_code, r.json.get("error"))
    both("PATCH",f"/transactions/{txn}",(lambda x:{"customer_id":x},"ctm_"+U,"ctm_"+U))

def test_crash_bodies(app):
    s=App(app)
    a=people.customer("Amelia"); sub=visits.subscribed(a)
    pr=people.price()
    for path,body in (("/transactions",{"items":[{"price_id":pr,"quantity":1}],"checkout":{"url":"\ud7ff"}}),
        ("/transactions",{"items":[{"price_id":pr,"quantity":1}],"billing_period":{"starts_at":"2026-01-01T00:00:00Z","ends_at":"8999-01-01T00:00:00Z"}}),
        (f"/subscriptions/{sub}/charge",{"effective_from":"immediately","items":[{"price_id":pr,"quantity":1,"price":{"a":1}}]}),
        ("/notification-settings",{"description":"x\r\nBcc: a@b.c","type":"email","destination":"a@example.com\r\nBcc: x@example.com","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"\"a b\"@example.com","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"A <a@example.com>","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"a@example.com,b@example.com","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"a@[127.0.0.1]","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"a@localhost","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"ü@bücher.example","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"a|b`c'd@example.com","subscribed_events":["customer.created"]}),
        ("/notification-settings",{"description":"x","type":"email","destination":"-oX@example.com","subscribed_events":["customer.created"]}),
        ):
        r=s.post(path,body); print(r.status_code, path, str(body)[:110], r.json.get("error",{}).get("errors"))
        assert r.status_code<500
    # custom_data bombs
    deep={}; cur=deep
    for _ in range(105): cur["a"]={}; cur=cur["a"]
    r=s.post("/customers",{"email":"deep@example.com","custom_data":deep}); print(r.status_code)
    r=s.get("/customers?search="+"%25"*100); print(r.status_code)
    r=s.get("/products?order_by=custom_data[ASC]"); print(r.status_code)
    r=s.get("/transactions?"+"&".join(f"id={'a,'*150}" for _ in range(1))); print(r.status_code)
    r=s.get("/transactions?include="+",".join(["customer"]*200)); print(r.status_code)
