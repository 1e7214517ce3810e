//! Names of people: frequent given and family names of many languages.

const GIVEN: &str = " james john robert michael william david richard joseph thomas charles christopher daniel matthew \
anthony mark donald steven paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob \
gary nicholas eric jonathan stephen larry justin scott brandon benjamin samuel gregory frank alexander raymond patrick \
jack dennis jerry tyler aaron jose adam henry nathan douglas zachary peter kyle walter ethan jeremy harold keith christian \
roger noah gerald carl terry sean austin arthur lawrence jesse dylan bryan joe jordan billy bruce albert willie gabriel \
logan alan juan wayne roy ralph randy eugene vincent russell elijah louis bobby philip johnny mary patricia jennifer linda \
elizabeth barbara susan jessica sarah karen lisa nancy betty margaret sandra ashley kimberly emily donna michelle carol \
amanda dorothy melissa deborah stephanie rebecca sharon laura cynthia kathleen amy angela shirley anna brenda pamela emma \
nicole helen samantha katherine christine debra rachel carolyn janet catherine maria heather diane ruth julie olivia joyce \
virginia victoria kelly lauren christina joan evelyn judith megan andrea cheryl hannah jacqueline martha gloria teresa ann \
sara madison frances kathryn janice jean abigail alice julia judy sophia grace denise amber doris marilyn danielle beverly \
isabella theresa diana natalie brittany charlotte marie kayla alexis lori liam mason oliver lucas leo max felix jonas lukas \
finn paula lena lea mia hans klaus jürgen stefan andreas wolfgang uwe ute heike petra sabine monika anja katja pierre jean \
luc françois camille chloé élodie manon louise giulia marco luca giovanni francesca chiara matteo carlos luis miguel javier \
sofía lucía carmen pedro josé antonio manuel francisco ana isabel pablo diego joão tiago inês rafael ivan olga dmitri natasha \
sergei tatiana piotr anna katarzyna mohammed muhammad ahmed ali fatima omar hassan aisha yusuf ibrahim wei li na min jing \
hiroshi yuki kenji sakura haruto raj priya amit sunita anil deepak sanjay rahul neha arjun ananya ravi kumar nguyen linh \
kofi ama kwame chinedu ngozi ingrid lars erik astrid sven bjorn freya nils aisling siobhan dana eve bob ada grace alan \
edsger barbara linus tim margot dean casey alexa bailey brooke caleb cody corey courtney crystal derek derrick devin erica \
erin gina holly ian jaime jake jamie jasmine jenna jill jodi joel kaitlyn katie kathy kristen kristin kristina leslie \
lindsay luke marc marcus mario melanie micheal misty molly monica morgan nathaniel ricardo rodney sabrina shane shannon \
shawn sherry stacey stacy tammy tanya tara tiffany todd tony tracy travis troy vanessa veronica wanda wendy wesley whitney \
allison angie tina robin theodore chad giorgio alessandro andrea davide simone federico riccardo elena martina sara silvia paola alberto enrico beatrice \
valentina roberto angelo antonella raffaele mathilde margaux inès léa zoé hugo théo jules arthur gabriel raphaël antoine \
nicolas philippe michel alain bernard gérard christophe sébastien guillaume thierry éric laurent sylvie isabelle nathalie \
véronique catherine monique valérie aurélie céline julien thibaut benoît honoré noël susanne gabriele ursula brigitte renate \
ingrid karin claudia birgit gisela helga monica jörg holger jens dirk frank torsten ralf bernd dieter günter horst manfred \
werner gerhard helmut hartmut volker matthias tobias florian sebastian dominik fabian niklas moritz hannah lara sophie emilia \
juana rosa dolores pilar josefa francisca antonia mercedes encarnación ángel jesús rubén álvaro sergio fernando jorge alberto \
raúl eduardo enrique vicente andrés joaquín ignacio ramón alejandro adrián mateo valentina camila mariana joana beatriz larissa \
letícia fernanda vitor felipe gustavo thiago davi caio enzo heitor lorena lívia yasmin cecília agnieszka małgorzata krystyna \
barbara ewa elżbieta zofia janina teresa joanna magdalena monika jadwiga danuta irena halina helena jan andrzej stanisław \
tomasz paweł marcin michał marek grzegorz józef łukasz zbigniew jerzy mariusz dariusz henryk ryszard kazimierz adrianna \
johannes cornelis willem hendrik pieter gerrit sophie emma julia lotte sanne fleur daan sem bram thijs lieke johanna wilhelmina \
margareta elisabeth birgitta kristina eva lena kerstin karl per mikael anders johan nils olof gunnar göran bengt oscar elsa \
amir reza leila zeinab khadija ibrahim youssef karim samir tariq noor layla zoe ines ava aarav vivaan aditya vihaan sai krishna \
ishaan rohan kavya diya saanvi pooja suresh ramesh mahesh lakshmi meera geeta sneha nikhil vikram harish craig curtis dustin blake bradley brett cassandra cathy cindy colleen connie dawn ";

const FAMILY: &str = " smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez \
wilson anderson thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson \
walker young allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell carter \
roberts gomez phillips evans turner diaz parker cruz edwards collins reyes stewart morris morales murphy cook rogers \
gutierrez ortiz morgan cooper peterson bailey reed kelly howard ramos kim cox ward richardson watson brooks chavez wood \
james bennett gray mendoza ruiz hughes price alvarez castillo sanders patel myers long ross foster jimenez powell jenkins \
perry russell sullivan bell coleman butler henderson barnes gonzales fisher vasquez simmons romero jordan patterson \
alexander hamilton graham reynolds griffin wallace moreno west cole hayes bryant herrera gibson ellis tran medina aguilar \
stevens murray ford castro marshall owens harrison fernandez mcdonald woods washington kennedy wells vargas henry chen \
freeman webb tucker guzman burns crawford olson simpson porter hunter gordon mendez silva shaw snyder mason dixon munoz \
hunt hicks holmes palmer wagner black robertson boyd rose stone salazar fox warren mills meyer rice schmidt garza daniels \
ferguson nichols stephens soto weaver ryan gardner payne grant dunn kelley spencer hawkins arnold pierce hansen peters \
santos hart bradley knight elliott cunningham duncan armstrong hudson carroll lane riley andrews alvarado ray delgado berry \
perkins hoffman johnston matthews pena richards contreras willis carpenter lawrence sandoval müller schneider fischer weber \
becker schulz bauer richter klein wolf schröder neumann schwarz zimmermann braun krüger hofmann dubois durand leroy moreau \
laurent simon michel lefebvre rossi russo ferrari esposito bianchi romano ricci marino greco ivanov petrov popov kowalski \
nowak wiśniewski jansen bakker visser singh sharma gupta khan kumar ahmed ali hassan wang zhang liu yang huang zhao wu zhou \
tanaka suzuki sato yamamoto watanabe takahashi park choi pham andersen nielsen johansson karlsson larsen o'brien murphy \
okafor novak haddad ivanova kovacs horvath nagy varga szabo bernard petit robert richard martin thomas dupont \
roux fournier girard bonnet mercier blanc guerin boyer garnier chevalier francois legrand gauthier meier lange krause köhler \
herrmann könig walter mayer huber kaiser fuchs peters lang scholz möller weiß jung hahn schubert vogel friedrich keller günther \
frank berger winkler roth beck lorenz baumann franke albrecht schuster simon ludwig böhm winter kraus colombo romano bruno \
gallo conti costa giordano mancini rizzo lombardi moretti barbieri fontana santoro mariani rinaldi caruso ferrara galli \
santos oliveira souza pereira ferreira almeida nascimento carvalho ribeiro gomes barbosa rocha nunes moreira cardoso \
sousa fonseca lopes correia teixeira pinto jiménez álvarez romero alonso navarro domínguez gil vázquez serrano blanco \
suárez castro rubio sanz iglesias garrido lozano cano prieto kamiński lewandowski zieliński szymański woźniak dąbrowski \
kozłowski jankowski mazur krawczyk de-jong vries dijk berg boer smit mulder groot bos vos eriksson larsson olsson persson \
svensson gustafsson pettersson jonsson hagström lindberg lindström berglund reddy rao nair iyer menon mehta shah joshi desai \
chopra kapoor malhotra banerjee mukherjee das bose chatterjee lovelace turing hopper dijkstra liskov torvalds curie rhodes ";

fn listed(list: &str, word: &str) -> bool {
    word.len() >= 2 && list.contains(&format!(" {} ", word.to_lowercase()))
}

/// Whether `word` is a name, of either sort.
pub(crate) fn name_word(word: &str) -> bool {
    let word = word.trim_matches(['.', ',']);
    word.chars().next().is_some_and(char::is_uppercase)
        && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '’'))
        && (listed(GIVEN, word)
            || listed(FAMILY, word)
            || word.split('-').all(|part| listed(FAMILY, part)))
}

/// Whether `value` has the form of a person's whole name: two to four capitalised words, maybe with titles.
pub(crate) fn whole_name_form(value: &str) -> bool {
    let words: Vec<&str> = value.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    (2..=5).contains(&words.len())
        && words.iter().all(|w| {
            let particle = matches!(
                *w,
                "de" | "del"
                    | "der"
                    | "van"
                    | "von"
                    | "den"
                    | "la"
                    | "le"
                    | "da"
                    | "dos"
                    | "di"
                    | "bin"
            );
            let letters =
                w.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '.' | '’'));
            letters && (particle || w.chars().next().is_some_and(char::is_uppercase))
        })
}

/// Whether `value` has that form and contains a known name.
pub(crate) fn whole_name(value: &str) -> bool {
    whole_name_form(value) && value.split([' ', ',']).any(name_word)
}

/// Family names that most Chinese people have.
const HAN_FAMILY: &str = "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚張劉陳楊黃趙吳孫馬鄭羅謝許鄧";

/// Whether `value` is a name in Chinese or Japanese characters.
pub(crate) fn east_asian_name(value: &str) -> bool {
    let written = |c: char| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '々');
    let parts: Vec<usize> = value.split([' ', '\u{3000}']).map(|p| p.chars().count()).collect();
    if !value.chars().all(|c| written(c) || matches!(c, ' ' | '\u{3000}')) {
        return false;
    }
    match parts.as_slice() {
        [family, given] => (1..=4).contains(family) && (1..=4).contains(given),
        [whole] => {
            (2..=4).contains(whole) && value.chars().next().is_some_and(|c| HAN_FAMILY.contains(c))
        }
        _ => false,
    }
}

/// Whether `value` has the form of one name.
pub(crate) fn single_name_form(value: &str) -> bool {
    value.chars().next().is_some_and(char::is_alphabetic)
        && value.chars().count() <= 40
        && value
            .chars()
            .all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '.' | ' ' | ',' | '’'))
}
