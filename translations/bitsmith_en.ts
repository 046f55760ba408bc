<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US" sourcelanguage="en">
<context>
    <name>bitsmith::ui::BitMapLegend</name>
    <message numerus="yes">
        <source>16 bits (%n layers)</source>
        <translation>
            <numerusform>16 bits (%n layer)</numerusform>
            <numerusform>16 bits (%n layers)</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%1 bits (%n layers)</source>
        <translation>
            <numerusform>%1 bits (%n layer)</numerusform>
            <numerusform>%1 bits (%n layers)</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::BitMapModel</name>
    <message numerus="yes">
        <source>%n layers, median shown</source>
        <translation>
            <numerusform>%n layer, median shown</numerusform>
            <numerusform>%n layers, median shown</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::BlockLossPlot</name>
    <message numerus="yes">
        <source>%n blocks finished; the loss changed by %1 against plain rounding.</source>
        <translation>
            <numerusform>%n block finished; the loss changed by %1 against plain rounding.</numerusform>
            <numerusform>%n blocks finished; the loss changed by %1 against plain rounding.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::ExportResult</name>
    <message numerus="yes">
        <source>%n files, each with a checksum</source>
        <translation>
            <numerusform>%n file with a checksum</numerusform>
            <numerusform>%n files, each with a checksum</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::ModelSectionCard</name>
    <message numerus="yes">
        <source>%n layers</source>
        <translation>
            <numerusform>%n layer</numerusform>
            <numerusform>%n layers</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::RecipeSection</name>
    <message numerus="yes">
        <source>%1 (%n values changed)</source>
        <translation>
            <numerusform>%1 (%n value changed)</numerusform>
            <numerusform>%1 (%n values changed)</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::RuleTableModel</name>
    <message numerus="yes">
        <source>%n layers</source>
        <translation>
            <numerusform>%n layer</numerusform>
            <numerusform>%n layers</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::RunHeader</name>
    <message numerus="yes">
        <source>%n blocks</source>
        <translation>
            <numerusform>%n block</numerusform>
            <numerusform>%n blocks</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>bitsmith::ui::RunPage</name>
    <message numerus="yes">
        <source>Log (%n warnings)</source>
        <translation>
            <numerusform>Log (%n warning)</numerusform>
            <numerusform>Log (%n warnings)</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>format</name>
    <message numerus="yes">
        <source>%n min ago</source>
        <translation>
            <numerusform>%n min ago</numerusform>
            <numerusform>%n min ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n h ago</source>
        <translation>
            <numerusform>%n h ago</numerusform>
            <numerusform>%n h ago</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n days ago</source>
        <translation>
            <numerusform>%n day ago</numerusform>
            <numerusform>%n days ago</numerusform>
        </translation>
    </message>
</context>
</TS>
