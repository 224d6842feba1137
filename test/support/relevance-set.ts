/**
 * A judged set for relevance: 300 short documents in Chinese, Japanese, English and German, and queries as people write them, each with a
 * text that only the expected document has. Written for this project.
 */

const CHINESE = `
上海外滩的夜景很美,江边有很多老建筑
北京故宫是明清两代的皇宫,游客很多
杭州西湖边适合散步和骑自行车
成都的火锅又麻又辣,朋友聚会常吃
广州早茶有虾饺、烧卖和肠粉
西安的兵马俑是秦始皇陵的一部分
桂林山水甲天下,坐船游漓江最好
哈尔滨冬天的冰雪大世界很冷
青岛的啤酒节每年夏天举行
苏州园林小而精致,适合慢慢看
我每天早上喝一杯热豆浆
红烧肉要用五花肉,加冰糖慢炖
西红柿炒鸡蛋是最简单的家常菜
米饭要先泡半个小时再煮
包饺子时面皮要擀得中间厚边缘薄
清蒸鲈鱼要用大火蒸八分钟
麻婆豆腐的关键是花椒和豆瓣酱
凉拌黄瓜加蒜泥和香醋就很好吃
兰州拉面讲究一清二白三红四绿五黄
绿豆汤夏天喝可以解暑
如何重置路由器的无线密码
手机电池充电很慢的原因和解决办法
电脑蓝屏之后怎样恢复没有保存的文件
打印机卡纸时先关掉电源再取纸
新买的耳机左边没有声音
数据库备份应该每天自动执行一次
服务器磁盘空间不足会导致写入失败
用正则表达式匹配邮箱地址的方法
机器学习模型过拟合时可以增加数据
人工智能正在改变医疗影像的诊断
感冒发烧时要多喝水多休息
高血压患者应当少吃盐
儿童接种疫苗的时间表
近视眼手术之前要做哪些检查
膝盖受伤以后怎样做康复训练
失眠的人睡前不要看手机
糖尿病人可以吃哪些水果
牙齿敏感应该换一种牙膏
春季花粉过敏的预防办法
急救时心肺复苏的正确步骤
租房合同里押金应该怎样写
劳动合同到期没有续签有没有补偿
个人所得税的专项扣除怎样填写
公司注册需要准备哪些材料
信用卡逾期会影响个人征信
买二手房要注意产权是否清楚
股票和基金的风险有什么不同
退休金从几岁开始可以领取
快递丢失以后如何申请赔偿
发票抬头写错了可以重新开吗
小学三年级数学应用题的解题思路
怎样提高英语听力水平
高考志愿填报的注意事项
大学图书馆的开放时间
古诗词背诵的好方法
孩子沉迷游戏家长应该怎么办
钢琴初学者每天练习多长时间合适
书法入门先练楷书还是行书
毕业论文的参考文献格式
出国留学申请需要推荐信
地铁末班车是晚上十一点
高铁票可以提前十五天购买
飞机延误超过四小时可以退票
驾照丢了去哪里补办
电动汽车冬天续航会变短
自行车链条掉了怎么装回去
机场安检不能携带打火机
公交卡余额可以在手机上查询
高速公路节假日免费通行
停车场按小时收费,过夜有优惠
猫咪不吃猫粮只喝水怎么办
小狗第一次洗澡要注意保暖
阳台上适合种植的香草植物
多肉植物浇水太多会烂根
金鱼缸的水多久换一次`;

const JAPANESE = `
東京タワーの展望台から富士山が見えます
京都の金閣寺は冬の雪景色が有名です
大阪のたこ焼きは外がカリカリで中がとろとろ
北海道の旭山動物園ではペンギンの散歩が見られる
沖縄の海は透明でダイビングに向いている
奈良公園の鹿にせんべいをあげる
広島のお好み焼きには焼きそばが入る
箱根の温泉旅館に一泊した
鎌倉の大仏は屋外に座っている
日光東照宮の眠り猫を探す
味噌汁の出汁は昆布と鰹節でとる
カレーライスは一晩おくと美味しくなる
卵焼きを巻くときは弱火でゆっくり
寿司屋で注文するときのマナー
ラーメンのスープは豚骨か醤油か
おにぎりの具は梅干しと鮭が定番
天ぷらの衣を軽くするには冷たい水を使う
蕎麦を茹でたあと冷水でしめる
抹茶のケーキを焼く方法
納豆が苦手な人のための食べ方
パソコンの画面が突然真っ暗になった
スマートフォンの写真をバックアップする手順
パスワードを忘れたときの再設定
無線ルーターの電波が二階まで届かない
プリンターのインクがすぐになくなる
表計算ソフトで合計を求める関数
データベースの索引が遅い原因を調べる
メールが迷惑フォルダに入ってしまう
動画の字幕を自動で作る機能
古いノートパソコンのメモリを増やす
風邪をひいたときはお粥を食べる
花粉症の薬は眠くならないものを選ぶ
腰痛を和らげる簡単なストレッチ
熱中症を防ぐためにこまめに水分をとる
健康診断の前日は夜九時以降食べない
虫歯の治療は何回通院が必要ですか
肩こりがひどくて頭痛もする
インフルエンザの予防接種の予約
睡眠不足が続くと集中力が落ちる
子供が熱を出したときの対応
引っ越しの住所変更の手続きは市役所で行う
年末調整の書類の書き方
運転免許の更新に必要なもの
家賃の値上げを断ることはできるか
会社を辞めるときの退職届の出し方
保育園の申し込みの締め切り
確定申告で医療費控除を受ける
銀行口座を開くには印鑑が必要
ゴミの分別と収集日の確認
荷物の再配達を依頼する電話番号
漢字の書き順を覚えるコツ
大学入試の英語は長文読解が中心
夏休みの自由研究のテーマを探す
図書館で借りた本の返却期限
ピアノの発表会で弾く曲を選ぶ
敬語の使い方を間違えやすい例
俳句に季語を入れる決まり
算数の分数の割り算を教える
留学生のための日本語教室
卒業式の袴を借りるお店
新幹線の自由席と指定席の違い
終電を逃したのでタクシーで帰った
飛行機の機内に持ち込める荷物の大きさ
自転車の空気入れの使い方
雪道を運転するときはチェーンを付ける
高速バスで東京から仙台まで行く
駅のロッカーに荷物を預ける
レンタカーを返す前にガソリンを入れる
駐車場の料金は一日最大千円
電車の忘れ物センターに問い合わせる
猫が夜中に走り回る理由
犬の散歩は朝と夕方の二回
庭のトマトに虫が付いた
桜の木を剪定する時期
メダカの卵を別の水槽に移す`;

const ENGLISH = `
The Golden Gate Bridge is often hidden by fog in the morning
A weekend in Lisbon with trams, tiles and custard tarts
Hiking the Grand Canyon from rim to river in one day
The northern lights are best seen in Tromsø in winter
Renting a narrow boat on the canals of England
The British Museum opens late on Fridays
Safari lodges near the Serengeti for families
How to order coffee like a local in Rome
The oldest bookshop in the world is in Portugal
Camping beside Lake Louise needs a permit
Sourdough bread needs a lively starter and a hot oven
Slow cooked beef stew with carrots and red wine
A vegan chocolate cake without eggs or butter
How long to boil an egg for a soft yolk
Grilled salmon with lemon and dill
Pancakes turn out fluffy when the batter rests
Pickled cucumbers keep for months in the fridge
Roast potatoes with rosemary and garlic
A smoothie of spinach, banana and oat milk
Homemade pizza dough with only four ingredients
The laptop fan is loud even when nothing is running
Reset a forgotten administrator password on the router
Why does my database query ignore the index
Unit tests that fail only at midnight
Restoring a deleted branch in git
The printer shows offline although it is connected
Recover photos from a damaged memory card
Encrypt backups before they leave the building
Memory leak in a long running worker process
Keyboard shortcuts for switching between windows
Symptoms of iron deficiency in women
Exercises for a stiff neck after a day at the desk
How to treat a burn from boiling water
When a child's fever needs a doctor
Allergic reactions to peanuts in schools
Sleeping better without pills
Broken collarbone recovery time for cyclists
Vaccines that travellers need for Kenya
Checking your blood pressure at home
Toothache at night and no dentist open
Writing a tenancy agreement for a spare room
Parental leave for self employed fathers
How to dispute a charge on a credit card statement
Filing taxes after moving to another state
The warranty does not cover water damage
Cancelling a gym membership early
Opening a bank account without a fixed address
Small claims court for an unpaid invoice
Redundancy pay after three years of employment
Insurance for musical instruments on tour
Teaching fractions with slices of pizza
Scholarships for students from rural areas
Learning to read music as an adult
How bees find their way back to the hive
The causes of the First World War
Essay structure for history exams
Black holes bend light around them
Why the Roman Empire fell in the west
Volcanoes that changed the climate
A list of irregular verbs for learners
The last ferry to the island leaves at nine
Bicycle lanes close during the marathon
Delayed trains and how to claim a refund
Electric car charging stations on the motorway
Changing a flat tyre in the rain
Lost luggage at the airport
Bus passes for pensioners are free
Speed limits near schools
Parking permits for residents
Flying with a cello as hand luggage
Cats that scratch the sofa
Training a puppy to walk on a lead
Growing tomatoes on a windowsill
Pruning apple trees in late winter
Feeding hedgehogs in the garden`;

const GERMAN = `
Die Münchner Weißwurst isst man vor zwölf Uhr
Der Kölner Dom hat zwei Türme und viele Stufen
Wandern auf dem Rennsteig im Thüringer Wald
Die Speicherstadt in Hamburg steht auf Eichenpfählen
Schloss Neuschwanstein im Winter ohne Warteschlange
Mit dem Fahrrad an der Donau entlang nach Passau
Der Christkindlmarkt in Nürnberg beginnt im Advent
Watt wandern bei Ebbe vor Büsum
Die Bücherei in Weimar ist wieder geöffnet
Strandkörbe auf Rügen für eine Woche mieten
Kartoffelsalat mit Brühe statt Mayonnaise
Spätzle schaben wie die Großmutter
Apfelkuchen mit Streuseln vom Blech
Sauerkraut selbst einlegen im Steintopf
Rouladen füllen mit Gurke, Speck und Senf
Brötchen backen ohne Hefe
Königsberger Klopse in weißer Soße
Grünkohl schmeckt nach dem ersten Frost
Pflaumenmus kochen ohne anzubrennen
Käsefondue mit Kirschwasser
Der Rechner startet nach dem Update nicht mehr
Passwort für das Funknetz vergessen
Gelöschte Bilder auf der Speicherkarte retten
Der Drucker zieht kein Papier ein
Datenbank sichern, bevor der Server umzieht
Warum ist die Abfrage ohne Index so langsam
Das Handy lädt nur noch mit einem Wackelkontakt
Zwei Bildschirme an einem Laptop anschließen
Spam im Posteingang zuverlässig aussortieren
Verschlüsselte Festplatte öffnen
Hausmittel gegen Husten und Halsschmerzen
Rückenschmerzen nach langem Sitzen
Zecken richtig entfernen
Wann Fieber bei Säuglingen gefährlich ist
Übungen nach einer Knieoperation
Heuschnupfen beginnt mit der Hasel
Bluthochdruck ohne Tabletten senken
Zahnarzt am Wochenende finden
Schlafstörungen in den Wechseljahren
Impfungen für eine Reise nach Brasilien
Die Kaution nach dem Auszug zurückfordern
Elternzeit beim Arbeitgeber beantragen
Steuererklärung für Rentner
Kündigungsfrist im Arbeitsvertrag
Mieterhöhung wegen Modernisierung
Ein Gewerbe anmelden und abmelden
Rechnung ohne Umsatzsteuer schreiben
Den Führerschein umtauschen bis zum Stichtag
Haftpflichtversicherung für Hunde
Testament handschriftlich verfassen
Bruchrechnen leicht erklärt
Unregelmäßige Verben im Englischen
Wie Bienen miteinander sprechen
Der Dreißigjährige Krieg in zehn Minuten
Referat über Vulkane für die fünfte Klasse
Gedichte auswendig lernen
Ein Stipendium für das Auslandssemester
Gitarre stimmen ohne Gerät
Die Photosynthese einfach dargestellt
Rechtschreibung: das oder dass
Die letzte Fähre nach Amrum
Fahrgastrechte bei Verspätung der Bahn
Reifen wechseln von Oktober bis Ostern
Ladesäulen für Elektroautos an der Autobahn
Fahrradhelm für Kinder im Test
Koffer am Flughafen verloren
Parkausweis für Anwohner
Tempolimit in der Spielstraße
Umleitung wegen Straßenbauarbeiten
Gepäck im Nachtzug nach Wien
Katzen an eine neue Wohnung gewöhnen
Der Hund zieht an der Leine
Tomaten auf dem Balkon ziehen
Rosen schneiden im Frühling
Igel im Garten überwintern lassen`;

export type Language = "Chinese" | "Japanese" | "English" | "German";

export interface JudgedDocument {
  readonly language: Language;
  readonly text: string;
}

const linesOf = (language: Language, text: string): JudgedDocument[] =>
  text
    .trim()
    .split("\n")
    .map((line) => ({ language, text: line }));

export const judgedDocuments: readonly JudgedDocument[] = [
  ...linesOf("Chinese", CHINESE),
  ...linesOf("Japanese", JAPANESE),
  ...linesOf("English", ENGLISH),
  ...linesOf("German", GERMAN),
];

/** Query, and a text that the expected document has and no other. */
export const judgedQueries: Readonly<Record<Language, readonly (readonly [string, string])[]>> = {
  Chinese: [
    ["外滩夜景", "外滩"],
    ["西湖骑自行车", "西湖"],
    ["秦始皇兵马俑", "兵马俑"],
    ["火锅", "火锅"],
    ["怎么煮米饭", "米饭"],
    ["饺子皮怎么擀", "饺子时"],
    ["麻婆豆腐做法", "麻婆"],
    ["忘记无线密码", "路由器"],
    ["手机充电慢", "充电很慢"],
    ["蓝屏恢复文件", "蓝屏"],
    ["打印机卡纸", "卡纸"],
    ["磁盘空间不够", "磁盘"],
    ["高血压不能吃什么", "高血压"],
    ["近视手术检查", "近视"],
    ["睡不着 失眠", "失眠"],
    ["押金 租房", "押金"],
    ["信用卡逾期征信", "信用卡"],
    ["快递丢了赔偿", "快递"],
    ["英语听力", "听力"],
    ["末班地铁几点", "末班车"],
    ["驾照补办", "驾照"],
    ["多肉浇水", "多肉"],
    ["漓江坐船", "漓江"],
    ["猫咪不吃东西", "猫咪"],
  ],
  Japanese: [
    ["東京タワー 富士山", "東京タワー"],
    ["金閣寺の雪", "金閣寺"],
    ["たこ焼き", "たこ焼き"],
    ["奈良の鹿", "鹿"],
    ["味噌汁の出汁", "味噌汁"],
    ["卵焼きの作り方", "卵焼き"],
    ["おにぎり 具", "おにぎり"],
    ["画面が真っ暗", "真っ暗"],
    ["写真のバックアップ", "スマートフォン"],
    ["パスワード 忘れた", "パスワード"],
    ["迷惑メール", "迷惑"],
    ["花粉症の薬", "花粉症"],
    ["腰痛ストレッチ", "腰痛"],
    ["熱中症 予防", "熱中症"],
    ["住所変更 市役所", "市役所"],
    ["運転免許の更新", "免許"],
    ["退職届", "退職"],
    ["医療費控除", "控除"],
    ["本の返却", "返却"],
    ["終電 タクシー", "終電"],
    ["指定席", "指定席"],
    ["犬の散歩", "犬の散歩"],
    ["桜 剪定", "剪定"],
  ],
  English: [
    ["golden gate fog", "Golden Gate"],
    ["museum opening hours friday", "British Museum"],
    ["northern lights tromso", "Troms"],
    ["sourdough starter", "Sourdough"],
    ["vegan cake no eggs", "vegan"],
    ["soft boiled egg", "boil an egg"],
    ["pizza dough", "pizza dough"],
    ["router password reset", "router"],
    ["query does not use index", "ignore the index"],
    ["git deleted branch", "git"],
    ["printer offline", "offline"],
    ["memory leak worker", "leak"],
    ["iron deficiency", "iron"],
    ["stiff neck exercises", "neck"],
    ["child fever doctor", "fever"],
    ["credit card dispute", "dispute"],
    ["unpaid invoice court", "invoice"],
    ["ferry island last", "ferry"],
    ["train refund delay", "refund"],
    ["lost luggage", "Lost luggage"],
    ["apple tree pruning", "Pruning"],
    ["first world war causes", "First World War"],
    ["puppy lead", "puppy"],
  ],
  German: [
    ["Munchner Weisswurst", "Weißwurst"],
    ["Dom Köln Türme", "Dom"],
    ["Neuschwanstein", "Neuschwanstein"],
    ["Kartoffelsalat ohne Mayonnaise", "Kartoffelsalat"],
    ["Apfelkuchen Streusel Blech", "Apfelkuchen"],
    ["weisse Sosse Klopse", "Klopse"],
    ["Drucker Papier", "Drucker"],
    ["Abfrage langsam Index", "Abfrage"],
    ["Passwort Funknetz", "Funknetz"],
    ["Bilder retten Speicherkarte", "Speicherkarte"],
    ["Ruckenschmerzen Sitzen", "Rückenschmerzen"],
    ["Fieber Säugling gefährlich", "Säuglingen"],
    ["Zecken entfernen", "Zecken"],
    ["Kaution zurück Auszug", "Kaution"],
    ["Kündigungsfrist", "Kündigungsfrist"],
    ["FÜHRERSCHEIN UMTAUSCHEN", "Führerschein"],
    ["Dreissigjähriger Krieg", "Dreißigjährige"],
    ["Vulkane Referat", "Vulkane"],
    ["das oder dass", "Rechtschreibung"],
    ["Fähre Amrum", "Amrum"],
    ["Bahn Verspätung", "Fahrgastrechte"],
    ["Strassenbauarbeiten Umleitung", "Umleitung"],
    ["Hund Leine", "Leine"],
    ["Tomaten Balkon", "Tomaten"],
  ],
};
