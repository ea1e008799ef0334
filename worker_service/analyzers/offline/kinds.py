"""The cues of each kind of document in English, German and French: lower case, no punctuation, `|` between two."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`title` words count on their own line near the top, `body` words once each anywhere, `strong` ones double."""

    title: str
    strong: str
    body: str


KINDS: dict[str, Kind] = {
    "invoice": Kind(
        title="invoice|tax invoice|proforma invoice|commercial invoice|rechnung|facture",
        strong="invoice number|invoice no|invoice date|bill to|amount due|balance due|invoice total|rechnungsnummer|"
        "rechnungsdatum|rechnung nr|rechnungsbetrag|numéro de facture|facture n|total ttc|net à payer",
        body="due date|payment terms|subtotal|sub total|unit price|quantity|vat|iban|purchase order|remit|"
        "total due|leistungszeitraum|mwst|umsatzsteuer|zahlungsziel|einzelpreis|gesamtbetrag|zahlbar|"
        "ust idnr|tva|montant ht|prix unitaire|échéance|règlement|siret",
    ),
    "receipt": Kind(
        title="receipt|payment receipt|sales receipt|quittung|kassenbon|reçu|ticket de caisse|payment confirmation",
        strong="receipt number|receipt no|cash tendered|change due|amount paid|payment received|"
        "received with thanks|betrag dankend erhalten|bon nr|reçu de|montant reçu|rendu monnaie",
        body="cashier|subtotal|visa|mastercard|card ending|paid by|thank you for your purchase|cash|kasse|"
        "bar bezahlt|ec karte|caisse|espèces|carte bancaire|terminal",
    ),
    "contract": Kind(
        title="agreement|contract|employment contract|lease|lease agreement|service agreement|vertrag|"
        "arbeitsvertrag|mietvertrag|kaufvertrag|contrat|contrat de travail|bail|non disclosure agreement|"
        "terms and conditions",
        strong="this agreement|this contract|hereinafter|in witness whereof|governing law|entire agreement|"
        "the parties|between the parties|shall indemnify|dieser vertrag|die parteien|vertragspartner|"
        "vertragsparteien|salvatorische klausel|gerichtsstand|le présent contrat|les parties|ci après|"
        "droit applicable",
        body="termination|confidentiality|liability|party|clause|herein|force majeure|shall|breach|arbitration|"
        "effective date|kündigung|kündigungsfrist|haftung|vertraulichkeit|schriftform|vereinbaren|"
        "résiliation|confidentialité|responsabilité|litige|préavis|obligations",
    ),
    "resume": Kind(
        title="curriculum vitae|resume|résumé|cv|lebenslauf|professional summary|professional profile",
        strong="work experience|professional experience|employment history|career objective|references available|"
        "berufserfahrung|persönliche daten|schulbildung|expérience professionnelle|centres d intérêt|"
        "work history",
        body="education|skills|languages|university|bachelor|master|phd|certifications|linkedin|responsible for|"
        "hobbies|references|gpa|internship|ausbildung|kenntnisse|sprachen|studium|praktikum|geboren|"
        "abschluss|formation|compétences|langues|diplôme|stage|permis de conduire|université",
    ),
    "minutes": Kind(
        title="minutes|meeting minutes|minutes of meeting|minutes of the meeting|board minutes|protokoll|"
        "sitzungsprotokoll|besprechungsprotokoll|ergebnisprotokoll|compte rendu|procès verbal|"
        "compte rendu de réunion|meeting notes",
        strong="attendees|apologies for absence|minutes of the|meeting adjourned|next meeting|present apologies|"
        "in attendance|teilnehmer|anwesend|nächste sitzung|nächstes treffen|tagesordnung|ordre du jour|"
        "étaient présents|participants|prochaine réunion|séance levée",
        body="agenda|action items|apologies|chair|chaired|motion|seconded|present|discussed|decided|adjourned|"
        "quorum|beschluss|beschlossen|top 1|protokollführer|entschuldigt|sitzung|présents|excusé|excusés|décisions|"
        "réunion|relevé de décisions|il est décidé|prochaines étapes|nächste schritte",
    ),
    "letter": Kind(
        title="to whom it may concern|letter of assurance|cover letter|letter of recommendation|reference letter",
        strong="dear sir|dear madam|dear mr|dear ms|dear mrs|dear dr|to whom it may concern|yours sincerely|"
        "yours faithfully|sincerely yours|sehr geehrte|mit freundlichen grüßen|hochachtungsvoll|"
        "madame monsieur|veuillez agréer|je vous prie d agréer|salutations distinguées",
        body="dear|sincerely|best regards|kind regards|enclosed|enclosure|re|i am writing|we are writing|"
        "look forward to|betreff|anlage|anlagen|ihr schreiben|objet|pièces jointes|cordialement|lettre|letter",
    ),
    "email": Kind(
        title="",
        strong="from to subject|sent to subject|original message|forwarded message|ursprüngliche nachricht|"
        "message d origine|de à objet|von an betreff|unsubscribe",
        body="cc|bcc|fwd|subject|attached|sent from my|betreff|gesendet|objet|envoyé|best regards|kind regards|"
        "viele grüße|cordialement|regards|thanks",
    ),
    "report": Kind(
        title="report|annual report|quarterly report|progress report|status report|final report|test report|"
        "audit report|bericht|jahresbericht|quartalsbericht|geschäftsbericht|abschlussbericht|rapport|"
        "rapport annuel|rapport d activité|inspection report|research report",
        strong="executive summary|this report|key findings|report date|report id|prepared by|"
        "findings and recommendations|dieser bericht|zusammenfassung der ergebnisse|ce rapport|synthèse|"
        "reporting period|berichtszeitraum",
        body="findings|recommendations|analysis|overview|conclusion|conclusions|results|quarter|revenue|"
        "compared to|review|methodology|scope|ergebnisse|empfehlungen|umsatz|fazit|überblick|analyse|"
        "résultats|recommandations|chiffre d affaires|trimestre|assessment",
    ),
    "article": Kind(
        title="abstract|preprint|white paper|whitepaper|case study|original article|review article|research article",
        strong="abstract|et al|doi|in this paper|this paper|we propose|related work|keywords|in diesem beitrag|"
        "literaturverzeichnis|dans cet article|mots clés|journal of|arxiv",
        body="introduction|references|conclusion|experiments|method|methods|evaluation|published|author|authors|"
        "study|acknowledgements|figure 1|proceedings|einleitung|literatur|studie|résumé|bibliographie|étude|"
        "auteurs|blog",
    ),
    "manual": Kind(
        title="user manual|manual|user guide|installation guide|operating instructions|quick start guide|readme|"
        "handbook|bedienungsanleitung|benutzerhandbuch|handbuch|gebrauchsanweisung|mode d emploi|"
        "manuel d utilisation|guide d utilisation|instruction manual|owner s manual|getting started",
        strong="getting started|troubleshooting|step 1|safety instructions|system requirements|press the button|"
        "installation instructions|table of contents|sicherheitshinweise|fehlerbehebung|inbetriebnahme|"
        "schritt 1|consignes de sécurité|dépannage|étape 1|how to use|quick start",
        body="install|installation|click|press|configure|configuration|settings|usage|warning|caution|button|"
        "connect|run|command|setup|prerequisites|screen|drücken|klicken|einstellungen|anschließen|wartung|"
        "appuyez|cliquez|réglages|branchez|entretien|example|function",
    ),
    "policy": Kind(
        title="policy|privacy policy|security policy|code of conduct|data protection policy|guidelines|richtlinie|"
        "datenschutzerklärung|dienstanweisung|politique|politique de confidentialité|charte|"
        "règlement intérieur|remote work policy|travel policy|leave policy",
        strong="this policy|policy applies|policy statement|scope of this policy|violations of this policy|"
        "policy owner|diese richtlinie|geltungsbereich|verstöße gegen|cette politique|la présente politique|"
        "champ d application|disciplinary action",
        body="policy|employees|compliance|must|prohibited|responsibilities|scope|purpose|review date|approved by|"
        "personal data|richtlinie|mitarbeiter|verantwortlichkeiten|verboten|salariés|conformité|interdit|"
        "données personnelles|collaborateurs|exceptions",
    ),
    "form": Kind(
        title="application form|form|registration form|claim form|tax return|questionnaire|antrag|antragsformular|"
        "formular|fragebogen|formulaire|demande|order form|consent form",
        strong="please print|check one|check only one|for office use only|tick|check box|please complete|fill in|"
        "signature of applicant|bitte ankreuzen|zutreffendes ankreuzen|bitte ausfüllen|"
        "unterschrift des antragstellers|cochez|à remplir|à compléter|cadre réservé|form no|omb no|"
        "attach form",
        body="signature|date of birth|first name|last name|surname|address|phone|yes no|gender|nationality|"
        "applicant|zip|unterschrift|vorname|nachname|geburtsdatum|anschrift|telefon|antragsteller|nom|prénom|"
        "date de naissance|adresse|téléphone|signature du demandeur",
    ),
}
