"""Names, numbers and types of OpenRTB 2.6's messages in Protocol Buffers, as far as they are a bid
request: facts of the IAB Tech Lab's package `com.iabtechlab.openrtb.v2`.

One line begins a message, and its fields follow: `name number type`, `*` before a type of which
there are several. Types are `b` boolean, `i` int32, `d` double, `s` string, or another message. A
field that is not listed, such as an exchange's own extension, is skipped when a message is read.
"""

MESSAGES = """
BidRequest: id 1 s, imp 2 *Imp, site 3 Site, app 4 App, dooh 22 Dooh, device 5 Device, user 6 User,
  test 15 b, at 7 i, tmax 8 i, wseat 9 *s, bseat 17 *s, allimps 10 b, cur 11 *s, wlang 18 *s,
  wlangb 20 *s, acat 23 *s, bcat 12 *s, cattax 21 i, badv 13 *s, bapp 16 *s, source 19 Source,
  regs 14 Regs
Source: fd 1 b, tid 2 s, pchain 3 s, schain 4 SupplyChain, ext 99 SourceExt
SourceExt: schain 1 SupplyChain, omidpn 2 s, omidpv 3 s
SupplyChain: complete 1 b, nodes 2 *SupplyChainNode, ver 3 s
SupplyChainNode: asi 1 s, sid 2 s, rid 3 s, name 4 s, domain 5 s, hp 6 b
Imp: id 1 s, metric 17 *Metric, banner 2 Banner, video 3 Video, audio 15 Audio, native 13 Native,
  pmp 11 Pmp, displaymanager 4 s, displaymanagerver 5 s, instl 6 b, tagid 7 s, bidfloor 8 d,
  bidfloorcur 9 s, clickbrowser 16 b, secure 12 b, iframebuster 10 *s, rwdd 18 b, ssai 19 i,
  exp 14 i, qty 20 Qty, dt 21 d, refresh 22 Refresh, ext 99 ImpExt
ImpExt: gpid 1 s, intrinsic 3 b, tid 4 s
Metric: type 1 s, value 2 d, vendor 3 s
Banner: format 15 *Format, w 1 i, h 2 i, btype 5 *i, battr 6 *i, pos 4 i, mimes 7 *s, topframe 8 b,
  expdir 9 *i, api 10 *i, id 3 s, vcm 16 b, wmax 11 i, hmax 12 i, wmin 13 i, hmin 14 i
Format: w 1 i, h 2 i, wratio 3 i, hratio 4 i, wmin 5 i
Video: mimes 1 *s, minduration 3 i, maxduration 4 i, startdelay 8 i, maxseq 28 i, poddur 29 i,
  protocols 21 *i, w 6 i, h 7 i, podid 30 s, podseq 31 i, rqddurs 32 *i, placement 26 i, plcmt 35 i,
  linearity 2 i, skip 23 b, skipmin 24 i, skipafter 25 i, sequence 9 i, slotinpod 33 i,
  mincpmpersec 34 d, battr 10 *i, maxextended 11 i, minbitrate 12 i, maxbitrate 13 i,
  boxingallowed 14 b, playbackmethod 15 *i, playbackend 27 i, delivery 16 *i, pos 17 i,
  companionad 18 *Banner, api 19 *i, companiontype 20 *i, poddedupe 37 *i, protocol 5 i
Audio: mimes 1 *s, minduration 2 i, maxduration 3 i, poddur 25 i, protocols 4 *i, startdelay 5 i,
  rqddurs 26 *i, podid 27 s, podseq 28 i, sequence 6 i, slotinpod 29 i, mincpmpersec 30 d,
  battr 7 *i, maxextended 8 i, minbitrate 9 i, maxbitrate 10 i, delivery 11 *i,
  companionad 12 *Banner, api 13 *i, companiontype 20 *i, maxseq 21 i, feed 22 i, stitched 23 b,
  nvol 24 i
Native: request 1 s, ver 2 s, api 3 *i, battr 4 *i
Qty: multiplier 1 d, sourcetype 2 i, vendor 3 s
Refresh: refsettings 1 *RefSettings, count 2 i
RefSettings: reftype 1 i, minint 2 i
Pmp: private_auction 1 b, deals 2 *Deal
Deal: id 1 s, bidfloor 2 d, bidfloorcur 3 s, at 6 i, wseat 4 *s, wadomain 5 *s, guar 7 i,
  mincpmpersec 8 d
Site: id 1 s, name 2 s, domain 3 s, cattax 16 i, cat 4 *s, sectioncat 5 *s, pagecat 6 *s, page 7 s,
  ref 9 s, search 10 s, mobile 15 b, privacypolicy 8 b, publisher 11 Publisher, content 12 Content,
  keywords 13 s, kwarray 18 *s, inventorypartnerdomain 17 s
App: id 1 s, name 2 s, bundle 8 s, domain 3 s, storeurl 16 s, cattax 17 i, cat 4 *s,
  sectioncat 5 *s, pagecat 6 *s, ver 7 s, privacypolicy 9 b, paid 10 b, publisher 11 Publisher,
  content 12 Content, keywords 13 s, kwarray 19 *s, inventorypartnerdomain 18 s
Dooh: id 1 s, name 2 s, venuetype 3 *s, venuetypetax 4 i, publisher 5 Publisher, domain 6 s,
  keywords 7 s, content 8 Content
Publisher: id 1 s, name 2 s, cattax 5 i, cat 3 *s, domain 4 s
Content: id 1 s, episode 2 i, title 3 s, series 4 s, season 5 s, artist 21 s, genre 22 s, gtax 33 i,
  genres 35 *s, album 23 s, isrc 24 s, producer 15 Producer, url 6 s, cattax 27 i, cat 7 *s,
  prodq 25 i, context 20 i, contentrating 10 s, userrating 11 s, qagmediarating 17 i, keywords 9 s,
  kwarray 32 *s, livestream 13 b, sourcerelationship 14 b, len 16 i, language 19 s, langb 29 s,
  embeddable 18 b, data 28 *Data, network 30 Network, channel 31 Channel, videoquality 8 i
Producer: id 1 s, name 2 s, cattax 5 i, cat 3 *s, domain 4 s
Network: id 1 s, name 2 s, domain 3 s
Channel: id 1 s, name 2 s, domain 3 s
Device: geo 4 Geo, dnt 1 b, lmt 23 b, ua 2 s, sua 31 UserAgent, ip 3 s, ipv6 9 s, devicetype 18 i,
  make 12 s, model 13 s, os 14 s, osv 15 s, hwv 24 s, w 25 i, h 26 i, ppi 27 i, pxratio 28 d,
  js 16 b, geofetch 29 b, flashver 19 s, language 11 s, langb 32 s, carrier 10 s, mccmnc 30 s,
  connectiontype 17 i, ifa 20 s, didsha1 5 s, didmd5 6 s, dpidsha1 7 s, dpidmd5 8 s, macsha1 21 s,
  macmd5 22 s, ext 99 DeviceExt
DeviceExt: atts 1 i, ifv 2 s, cdep 3 s, ifa_type 4 s
Geo: lat 1 d, lon 2 d, type 9 i, accuracy 11 i, lastfix 12 i, ipservice 13 i, country 3 s,
  region 4 s, regionfips104 5 s, metro 6 s, city 7 s, zip 8 s, utcoffset 10 i
UserAgent: browsers 1 *BrandVersion, platform 2 BrandVersion, mobile 3 b, architecture 4 s,
  bitness 5 s, model 6 s, source 7 i
BrandVersion: brand 1 s, version 2 *s
User: id 1 s, buyeruid 2 s, yob 3 i, gender 4 s, keywords 5 s, kwarray 9 *s, customdata 6 s,
  geo 7 Geo, data 8 *Data, consent 10 s, eids 11 *EID, ext 99 UserExt
UserExt: consent 1 s, eids 2 *EID
EID: inserter 3 s, source 1 s, matcher 4 s, mm 5 i, uids 2 *UID
UID: id 1 s, atype 2 i
Data: id 1 s, name 2 s, segment 3 *Segment, ext 99 DataExt
DataExt: cids 1 *s
Segment: id 1 s, name 2 s, value 3 s
Regs: coppa 1 b, gdpr 4 b, us_privacy 5 s, gpp 2 s, gpp_sid 3 *i, ext 99 RegsExt
RegsExt: gdpr 1 b, us_privacy 2 s, gpc 3 s, s22580 5 b
"""
