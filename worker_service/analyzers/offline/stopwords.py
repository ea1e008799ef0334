"""Words that carry no topic, for the languages that the offline analyzer knows: function words and worn-out verbs."""

from __future__ import annotations

_ENGLISH = """
a able about above abstract according accordingly across actual actually add added additional additionally after
afterwards again against ago all allow allowed allows almost along already also although always am among amount an and
another any anybody anyone anything anyway appear appears appendix applied applies apply apr april are aren't around
arrives as aside ask asked at attached aug august available away back bad based basis bcc be became because become
becomes been before began being below best better between beyond big billion both bring brought building-block but by
call called came can can't cannot case cases cc certain change changed chapter clear clearly close com come comes
coming complete completed completely conclusion conclusions consider considered contain contained contains contents
continue corp could couldn't create created current currently date day days dear dec december declined description
details did didn't different do does doesn't doing dollar dollars don't done down dr due during each early easily easy
eg either else end enough ensure entire entirely especially etc eur euro euros even every everybody everyone
everything exactly example exist existing expect expected expects fact familiar far feb february fell few fig figure
final finally find first five follow followed following follows for form found four friday from full fully further
gave gbp general generally get gets getting give given gives gmbh go goes going good got great grew had hadn't happen
happens has hasn't have haven't having he held hello help hence her here hereafter hereby herein hereinafter hers hi
high higher him his hold hour hours how however http https i ie if ii iii important in inc include included includes
including indeed instead into introduction is isn't it it's item items its itself iv jan january jul july jun june
just keep kept kind kindly kinds know known large larger last late later latest learn least left less let let's like
likely little live llc long longer look looking lot lots low lower ltd made main mainly make makes making many mar
march may maybe me mean means meant might million mine monday month months more most mostly move moved mr mrs ms much
must my name namely near nearly necessary need needed needs neither never new next no nobody none nor not note nothing
nov november now number oct october of off often old on once one ones only onto open or order org other others
otherwise our ours out outside over overall own page pages part particular particularly per percent perhaps place plc
please point possible pound pounds preferred prefers present presented presently previous previously prior probably
provide provided provides providing put quarter quite rather re reached read real really reason recent recently refer
references regarding regards relative relatively remain remained remains require required requires respective
respectively result resulted results rose run running said same saturday saw say says second section see seem seems
seen sent sep sept september set sets several shall she should shouldn't show showed shown shows similar simple simply
since sincerely single six size small so some somebody someone something sometimes somewhat soon specific start
started state still stop subject such summary sunday sure table take taken takes taking tell ten than thank thanks
that that's the their theirs them then there therefore thereof these they thing things think thinks this those though
three through throughout thursday thus time times to today together told too took toward towards true try tuesday turn
turns two type types under underway unless until up upcoming upon us usd use used useful user uses using usually
various very via want wants was wasn't way ways we wednesday week weeks welcome well went were weren't what whatever
when whenever where whereas wherever whether which while whilst who whoever whole whom whose why will with within
without won won't work works would wouldn't write written wrote www year years yes yet you your yours yourself
"""

_GERMAN = """
ab abbildung aber abs ag alle allem allen aller alles als also am an anbei andere anderen anderer anderes anders
anhang april auch auf aufgrund august aus außer außerdem bald bei beide beiden beim bereits besonders besser betreff
bevor bin bis bisher bist bitte bleibt bzw com d da dabei dadurch dafür dagegen daher dahin damen damit danach dank
dann daran darauf daraus darf darin darum darüber das dass datum davon davor dazu de dein deine dem demnach den denen
denn dennoch der deren derer des deshalb dessen desto dezember die dienstag dies diese diesem diesen dieser dieses
doch donnerstag dort drei du durch dürfen ebenfalls ebenso eigene eigenen ein eine einem einen einer eines einfach
einige einigen einiger einleitung einmal entsprechend entweder er erfolgt erforderlich erhalten erhält erst erste
ersten es etwa etwas euch euer euro fazit februar ferner folgende folgenden folgt frau freitag freundlichen für ganz
gar geben geehrte geehrten geehrter gegen gegenüber gehen gehört gemacht gemäß genannte genannten genau gern gesamt
gibt gilt gleich gmbh grüße grüßen gut gute guten habe haben hallo hat hatte hatten her herr herren herrn heute hier
hierfür hiermit hin hinter http https hätte höhe i ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im immer in
indem infolge inhaltsverzeichnis innerhalb ins insbesondere insgesamt ist ja jahr jahre jahren januar je jede jedem
jeden jeder jedes jedoch jetzt jeweiligen jeweils juli juni kann kapitel kein keine keinem keinen keiner kg klar
kommen kommt könne können könnte könnten lang lassen laut lediglich letzte letzten machen macht mai mal man mehr
mehrere mein meine menge million millionen mit mittels mittwoch montag muss musste märz möchte möchten möglich müssen
nach nachdem neben nein neu neue neuen neuer nicht nichts nie noch november nr nun nur nächste nächsten nämlich ob
oben obige obigen oder oft ohne oktober paar pos pro prozent rund samstag schon sehr sei seien sein seine seinem
seinen seiner seit seite seiten selbst september sich sicher sie siehe sind so sobald sofern sofort sogar solche
solchen soll sollen sollte sollten somit sondern sonntag sonst soweit sowie sowohl später stehen steht stets sämtliche
tabelle tag tage tagen teil top trotz um und uns unser unsere unserem unseren unserer unten unter usw viel viele
vielen vielleicht vom von vor voraus vorher wann war waren warum was weg wegen weil weise weiter weitere weiteren
weiterer weiterhin welche welchem welchen welcher welches wenig weniger wenn wer werde werden wie wieder will wir wird
wo wobei wohl wollen worden wurde wurden www während würde würden z zeit zu zudem zufolge zum zunächst zur
zusammenfassung zusätzlich zwar zwei zwischen über überhaupt
"""

_FRENCH = """
a afin ai aient ainsi alors an annexe année années ans août après article assez au aucun aucune aujourd'hui auprès
aura auront aussi autant autre autres aux avaient avait avant avec avez avoir avons avril ayant beaucoup bien bon
bonne c car cas ce ceci cela celle celles celui cependant ces cet cette ceux chacun chaque chez ci cinq com comme
comment compte concernant conformément contre cordialement d dans date de depuis dernier derniers dernière dernières
des deux devant devez devons devra devront dimanche doit doivent donc dont du durant décembre déjà désormais elle
elles en encore enfin ensuite entre environ es est et etc eu euro euros eux exemple faire fait faites faut figure fin
font fr février grand grande grandes grands hors ht http https ici il ils introduction j janvier je jeudi jour jours
juillet juin jusqu jusque l la laquelle le lequel les lesquelles lesquels leur leurs lieu lors lorsque lui lundi là m
ma madame mademoiselle mai mais malgré mardi mars me merci mercredi mes mesdames messieurs met million millions mis
mise mlle mm mme moi moins mois mon monsieur montant même mêmes n ne ni non nos notamment notre nous nouveau nouveaux
nouvelle nouvelles novembre numéro objet octobre on ont or ou où page pages par parce parmi partie pas pendant permet
permettre peu peut peuvent plus plusieurs point pour pour-cent pourra pourrait pouvez pouvoir premier premiers
première prendre pris prix prochain prochaine près puis puisque qu quand quantité que quel quelle quelles quelque
quelques quels qui quoi quotidien rendu rien résumé réunion s sa samedi sans sarl sas sauf se selon septembre sera
serait seront ses seul seule si sien soit son sont sous souvent suite suivant suivante suivantes suivants sur t ta
tableau tandis te tel telle telles tels tes toi ton total tous tout toute toutefois toutes trois trop très ttc tu tva
un une va vendredi vers veuillez via voici voilà vos votre vous vu www y à ça étaient était étant été être
"""

STOP_WORDS: dict[str, frozenset[str]] = {
    "en": frozenset(_ENGLISH.split()),
    "de": frozenset(_GERMAN.split()),
    "fr": frozenset(_FRENCH.split()),
}
