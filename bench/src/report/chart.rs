//! Charts as SVG: lines over two axes, and bars in groups.

use std::fmt::Write as _;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear,
    Log,
}

/// An axis: what it shows, in which unit, and how its numbers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'a> {
    pub(crate) title: &'a str,
    pub(crate) scale: Scale,
    pub(crate) label: fn(f64) -> String,
}

/// How the numbers at bars are written.
pub(crate) type Written = fn(f64) -> String;

/// What belongs to one server.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) look: Look,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How a server looks, the same in all charts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) colour: &'static str,
    pub(crate) dashed: bool,
    pub(crate) bold: bool,
}

/// Bars that stand together, with a name for all.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) name: String,
    pub(crate) bars: Vec<(&'a str, Look, f64)>,
}

const WIDTH: f64 = 820.0;
const TOP: f64 = 58.0;
const INK: &str = "#24292f";
const FAINT: &str = "#e3e6ea";
const GREY: &str = "#57606a";

/// A range of values, and the pixels that it is drawn over.
#[derive(Clone, Copy, Debug)]
struct Span {
    scale: Scale,
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Span {
    /// Covers `values` up to the next tick on either side.
    fn over(values: impl Iterator<Item = f64> + Clone, scale: Scale, pixels: (f64, f64)) -> Self {
        let most = values.clone().fold(f64::MIN, f64::max);
        let least = values.fold(f64::MAX, f64::min);
        let values = match scale {
            Scale::Linear => {
                let step = step(most);
                (0.0, (most / step).ceil().max(1.0) * step)
            }
            Scale::Log => (least, most),
        };
        let mut span = Self { scale, values, pixels };
        if scale == Scale::Log {
            let below = marks().rev().find(|mark| *mark <= least * 1.001).unwrap_or(least);
            let above = marks().find(|mark| *mark >= most * 0.999 && *mark > below);
            span.values = (below, above.unwrap_or(most));
        }
        span
    }

    fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value / low).ln() / (high / low).ln(),
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Where lines are drawn and numbers written: not more than a reader wants.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        if self.scale == Scale::Linear {
            let step = step(high);
            return (0..=(high / step).round() as u32).map(|n| f64::from(n) * step).collect();
        }
        let inside: Vec<f64> =
            marks().filter(|mark| *mark >= low * 0.999 && *mark <= high * 1.001).collect();
        if inside.len() <= 8 {
            return inside;
        }
        let is_decade = |mark: &f64| (mark.log10() - mark.log10().round()).abs() < 1e-6;
        inside.into_iter().filter(is_decade).collect()
    }
}

/// 1, 2 and 5 of every decade.
fn marks() -> impl DoubleEndedIterator<Item = f64> + Clone {
    (-6..13).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
}

/// The distance of about five ticks up to `most`.
fn step(most: f64) -> f64 {
    marks().find(|mark| *mark * 6.0 >= most).unwrap_or(1.0)
}

/// A line for each series, in the order of their last values.
pub(crate) fn lines(title: &str, x: Axis<'_>, y: Axis<'_>, mut series: Vec<Series<'_>>) -> String {
    const HEIGHT: f64 = 460.0;
    let (left, right, bottom) = (82.0, WIDTH - 220.0, HEIGHT - 62.0);
    let points = || series.iter().flat_map(|series| series.points.iter());
    if points().next().is_none() {
        return String::new();
    }
    let across = Span::over(points().map(|point| point.0), x.scale, (left, right));
    let up = Span::over(points().map(|point| point.1), y.scale, (bottom, TOP));
    let mut svg = start(title, HEIGHT);
    for tick in up.ticks() {
        let place = up.place(tick);
        rule(&mut svg, (left, place), (right, place));
        text(&mut svg, (left - 9.0, place + 4.5), "end", GREY, &(y.label)(tick));
    }
    for tick in across.ticks() {
        let place = across.place(tick);
        rule(&mut svg, (place, TOP), (place, bottom));
        text(&mut svg, (place, bottom + 20.0), "middle", GREY, &(x.label)(tick));
    }
    text(&mut svg, (f64::midpoint(left, right), bottom + 46.0), "middle", INK, x.title);
    let middle = f64::midpoint(TOP, bottom);
    let _ = writeln!(
        svg,
        r#"<text transform="translate(20 {middle:.1}) rotate(-90)" text-anchor="middle" fill="{INK}">{}</text>"#,
        escaped(y.title)
    );
    series.retain(|series| !series.points.is_empty());
    let last = |series: &Series<'_>| series.points.last().map_or(0.0, |point| point.1);
    series.sort_by(|one, other| last(other).total_cmp(&last(one)));
    // Bold ones are drawn last, above the others.
    for bold in [false, true] {
        for series in series.iter().filter(|series| series.look.bold == bold) {
            line(&mut svg, series, &across, &up);
        }
    }
    for (row, series) in series.iter().enumerate() {
        let place = TOP + 10.0 + row as f64 * 24.0;
        let Look { colour, bold, .. } = series.look;
        let (from, to) = (right + 18.0, right + 42.0);
        let _ = writeln!(
            svg,
            r#"<path d="M{from:.1} {place:.1}H{to:.1}" {}/><circle cx="{:.1}" cy="{place:.1}" r="4" fill="{colour}"/>"#,
            stroke(series.look),
            f64::midpoint(from, to)
        );
        label(&mut svg, (to + 8.0, place + 4.5), bold, series.name);
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, series: &Series<'_>, across: &Span, up: &Span) {
    let places = series.points.iter().map(|(x, y)| (across.place(*x), up.place(*y)));
    let path: Vec<String> = places.clone().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = writeln!(svg, r#"<path d="M{}" {}/>"#, path.join("L"), stroke(series.look));
    for (x, y) in places {
        let colour = series.look.colour;
        let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"/>"#);
    }
}

fn stroke(look: Look) -> String {
    let dashes = if look.dashed { r#" stroke-dasharray="7 4""# } else { "" };
    let width = if look.bold { 3.2 } else { 1.8 };
    format!(r#"fill="none" stroke="{}" stroke-width="{width}"{dashes}"#, look.colour)
}

/// Bars across, in groups, each with its name at the left and its number at its end.
///
/// On a logarithmic axis they begin at the tick below the least.
pub(crate) fn bars(title: &str, axis: Axis<'_>, written: Written, groups: &[Group<'_>]) -> String {
    const BAR: f64 = 18.0;
    const STEP: f64 = 23.0;
    const HEAD: f64 = 34.0;
    let count: usize = groups.iter().map(|group| group.bars.len()).sum();
    if count == 0 {
        return String::new();
    }
    let bottom = TOP + groups.len() as f64 * (HEAD + 4.0) + count as f64 * STEP;
    let (left, right) = (222.0, WIDTH - 90.0);
    let values = groups.iter().flat_map(|group| group.bars.iter()).map(|bar| bar.2);
    let floor = values.clone().fold(f64::MAX, f64::min) * 0.6;
    // A bar of no length would show nothing.
    let across = match axis.scale {
        Scale::Log => Span::over(values.clone().chain([floor]), Scale::Log, (left, right)),
        Scale::Linear => Span::over(values, Scale::Linear, (left, right)),
    };
    let mut svg = start(title, bottom + 62.0);
    for tick in across.ticks() {
        let place = across.place(tick);
        rule(&mut svg, (place, TOP), (place, bottom));
        text(&mut svg, (place, bottom + 20.0), "middle", GREY, &(axis.label)(tick));
    }
    text(&mut svg, (f64::midpoint(left, right), bottom + 46.0), "middle", INK, axis.title);
    let mut place = TOP;
    for group in groups.iter().filter(|group| !group.bars.is_empty()) {
        let _ = writeln!(
            svg,
            r#"<text x="24" y="{:.1}" font-weight="600" fill="{INK}">{}</text>"#,
            place + 22.0,
            escaped(&group.name)
        );
        place += HEAD;
        for (name, look, value) in &group.bars {
            let end = across.place(*value);
            let weight = if look.bold { " font-weight=\"600\"" } else { "" };
            let _ = writeln!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end"{weight} fill="{INK}">{}</text><rect x="{left:.1}" y="{place:.1}" width="{:.1}" height="{BAR}" rx="2" fill="{}"/>"#,
                left - 9.0,
                place + 13.5,
                escaped(name),
                (end - left).max(1.0),
                look.colour
            );
            text(&mut svg, (end + 7.0, place + 13.5), "start", INK, &written(*value));
            place += STEP;
        }
        place += 4.0;
    }
    svg + "</svg>\n"
}

fn start(title: &str, height: f64) -> String {
    const FONTS: &str = "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif";
    let title = escaped(title);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="{FONTS}" font-size="13" role="img">
<title>{title}</title>
<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>
<text x="24" y="32" font-size="16" font-weight="600" fill="{INK}">{title}</text>
"##
    )
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        r#"<path d="M{:.1} {:.1}L{:.1} {:.1}" stroke="{FAINT}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#
    );
}

fn label(svg: &mut String, (x, y): (f64, f64), bold: bool, words: &str) {
    let weight = if bold { " font-weight=\"600\"" } else { "" };
    let words = escaped(words);
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}"{weight} fill="{INK}">{words}</text>"#);
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let span = |values: [f64; 2], scale| Span::over(values.into_iter(), scale, (0.0, 100.0));
        assert_eq!(span([3.0, 41.0], Scale::Linear).ticks(), [0., 10., 20., 30., 40., 50.]);
        let log = span([3.0, 41.0], Scale::Log);
        assert_eq!(log.ticks(), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(log.place(10.0).round(), 50.0);
        let wide: Vec<f64> = span([1e3, 2e9], Scale::Log).ticks();
        assert_eq!(wide.len(), 7, "{wide:?}");
        // One value alone must not divide by nothing.
        assert!(span([5.0, 5.0], Scale::Log).place(5.0).is_finite());
    }

    #[test]
    fn charts_name_what_they_show() {
        let look = Look { colour: "#123456", dashed: true, bold: true };
        let axis = |title| Axis { title, scale: Scale::Log, label: |value| format!("{value}") };
        let series = vec![Series { name: "a < b", look, points: vec![(1.0, 2.0), (10.0, 30.0)] }];
        let svg = lines("Lines", axis("bytes"), axis("µs"), series);
        for part in ["Lines", "bytes", "µs", "a &lt; b", "#123456", "stroke-dasharray"] {
            assert!(svg.contains(part), "{part}");
        }
        let group = Group { name: "all".into(), bars: vec![("one", look, 3.0)] };
        let svg = bars("Bars", axis("seconds"), |value| format!("{value} s"), &[group]);
        for part in ["one", "seconds", "3 s"] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(lines("None", axis("x"), axis("y"), vec![]), "");
    }
}
