//! Charts as SVG: lines over two axes, and bars in groups.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{
    BindKeyPoints as _, IntoLogRange as _, LogCoord, WithKeyPoints,
};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The division of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear,
    Log,
}

/// An axis: its quantity with the unit, and the format of its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'a> {
    pub(crate) title: &'a str,
    pub(crate) scale: Scale,
    pub(crate) label: fn(f64) -> String,
}

/// The format of the numbers at bars.
pub(crate) type Format = fn(f64) -> String;

/// The line of one server.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) style: SeriesStyle,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The style of a server, the same in all charts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SeriesStyle {
    pub(crate) colour: RGBColor,
    pub(crate) dashed: bool,
    pub(crate) bold: bool,
}

/// Bars under one heading.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) name: String,
    pub(crate) bars: Vec<(&'a str, SeriesStyle, f64)>,
}

const WIDTH: u32 = 880;
/// The room of the title.
const TOP: u32 = 58;
/// The room of the numbers and the title of the x axis.
const BOTTOM: u32 = 62;
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const FAINT: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
const GREY: RGBColor = RGBColor(0x57, 0x60, 0x6a);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A linear or logarithmic coordinate.
enum Coordinate {
    Linear(WithKeyPoints<RangedCoordf64>),
    Log(WithKeyPoints<LogCoord<f64>>),
}

impl Coordinate {
    /// The coordinate that covers `values` up to the next tick on either side.
    fn over(values: impl Iterator<Item = f64> + Clone, scale: Scale) -> Self {
        let (range, ticks) = range_and_ticks(values, scale);
        match scale {
            Scale::Linear => Self::Linear(range.with_key_points(ticks)),
            Scale::Log => Self::Log(range.log_scale().with_key_points(ticks)),
        }
    }
}

impl Ranged for Coordinate {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        match self {
            Self::Linear(inner) => inner.map(value, limit),
            Self::Log(inner) => inner.map(value, limit),
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self {
            Self::Linear(inner) => inner.key_points(hint),
            Self::Log(inner) => inner.key_points(hint),
        }
    }

    fn range(&self) -> Range<f64> {
        match self {
            Self::Linear(inner) => inner.range(),
            Self::Log(inner) => inner.range(),
        }
    }
}

/// The range of an axis and its ticks. plotters itself would label the decades of a logarithmic
/// axis alone.
fn range_and_ticks(
    values: impl Iterator<Item = f64> + Clone,
    scale: Scale,
) -> (Range<f64>, Vec<f64>) {
    let most = values.clone().fold(f64::MIN, f64::max);
    if scale == Scale::Linear {
        // About five steps.
        let step = marks().find(|mark| *mark * 6.0 >= most).unwrap_or(1.0);
        let steps = (most / step).ceil().max(1.0) as u32;
        let ticks: Vec<f64> = (0..=steps).map(|count| f64::from(count) * step).collect();
        return (0.0..f64::from(steps) * step, ticks);
    }
    let least = values.fold(f64::MAX, f64::min);
    let low = marks().rev().find(|mark| *mark <= least * 1.001).unwrap_or(least);
    let high = marks().find(|mark| *mark >= most * 0.999 && *mark > low).unwrap_or(most);
    let is_inside = |mark: &f64| (low * 0.999..=high * 1.001).contains(mark);
    let mut ticks: Vec<f64> = marks().filter(is_inside).collect();
    if ticks.len() > 8 {
        ticks.retain(|mark| (mark.log10() - mark.log10().round()).abs() < 1e-6);
    }
    (low..high, ticks)
}

/// 1, 2 and 5 of every decade.
fn marks() -> impl DoubleEndedIterator<Item = f64> + Clone {
    (-6..13).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
}

/// A chart with a line for each series, whose legend is in the order of their last values.
pub(crate) fn lines(
    title: &str,
    x: Axis<'_>,
    y: Axis<'_>,
    mut series: Vec<Series<'_>>,
) -> anyhow::Result<String> {
    const HEIGHT: u32 = 460;
    const LEGEND: u32 = 280;
    series.retain(|series| !series.points.is_empty());
    if series.is_empty() {
        return Ok(String::new());
    }
    let last = |series: &Series<'_>| series.points.last().map_or(0.0, |point| point.1);
    series.sort_by(|one, other| last(other).total_cmp(&last(one)));
    let mut svg = String::new();
    {
        let root = titled_area(&mut svg, title, HEIGHT)?;
        let points = || series.iter().flat_map(|series| series.points.iter());
        let mut chart = ChartBuilder::on(&root)
            .margin_top(TOP)
            .margin_right(LEGEND)
            .margin_left(12)
            .margin_bottom(8)
            .x_label_area_size(BOTTOM - 8)
            .y_label_area_size(70)
            .build_cartesian_2d(
                Coordinate::over(points().map(|point| point.0), x.scale),
                Coordinate::over(points().map(|point| point.1), y.scale),
            )?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .axis_style(FAINT)
            .label_style(text(GREY))
            .axis_desc_style(text(INK))
            .x_label_formatter(&|value| (x.label)(*value))
            .y_label_formatter(&|value| (y.label)(*value))
            .x_desc(x.title)
            .y_desc(y.title)
            .draw()?;
        // Bold lines are drawn last, above the others.
        for bold in [false, true] {
            for Series { style, points, .. } in series.iter().filter(|one| one.style.bold == bold) {
                let points = points.iter().copied();
                if style.dashed {
                    let line = DashedLineSeries::new(points.clone(), 7, 4, stroke(*style));
                    chart.draw_series(line)?;
                } else {
                    chart.draw_series(LineSeries::new(points.clone(), stroke(*style)))?;
                }
                chart.draw_series(points.map(|at| Circle::new(at, 4, style.colour.filled())))?;
            }
        }
        legend(&root, (WIDTH - LEGEND + 18) as i32, &series)?;
        root.present()?;
    }
    Ok(svg)
}

fn legend(root: &Area<'_>, left: i32, series: &[Series<'_>]) -> anyhow::Result<()> {
    let middle = Pos::new(HPos::Left, VPos::Center);
    for (row, Series { name, style, .. }) in series.iter().enumerate() {
        let y = TOP as i32 + 10 + row as i32 * 24;
        let line = [(left, y), (left + 24, y)];
        if style.dashed {
            root.draw(&DashedPathElement::new(line, 7, 4, stroke(*style)))?;
        } else {
            root.draw(&PathElement::new(line, stroke(*style)))?;
        }
        root.draw(&Circle::new((left + 12, y), 4, style.colour.filled()))?;
        let style = if style.bold { bold_text(INK) } else { text(INK) };
        root.draw_text(name, &style.pos(middle), (left + 32, y))?;
    }
    Ok(())
}

/// A chart with bars to the right, in groups. Each bar has its name at the left and its number at
/// its end.
///
/// On a logarithmic axis the bars begin at the tick below the least value.
pub(crate) fn bars(
    title: &str,
    axis: Axis<'_>,
    format: Format,
    groups: &[Group<'_>],
) -> anyhow::Result<String> {
    const ROW: f64 = 23.0;
    /// The height of a heading, in rows.
    const HEADING: f64 = 1.5;
    const NAMES: u32 = 222;
    let groups = || groups.iter().filter(|group| !group.bars.is_empty());
    let rows: f64 = groups().map(|group| HEADING + group.bars.len() as f64).sum();
    if rows == 0.0 {
        return Ok(String::new());
    }
    let values = groups().flat_map(|group| group.bars.iter()).map(|bar| bar.2);
    // A bar without length would show nothing.
    let floor = values.clone().fold(f64::MAX, f64::min) * 0.6;
    let across = match axis.scale {
        Scale::Log => Coordinate::over(values.chain([floor]), Scale::Log),
        Scale::Linear => Coordinate::over(values, Scale::Linear),
    };
    let low = across.range().start;
    let mut svg = String::new();
    {
        let root = titled_area(&mut svg, title, TOP + (rows * ROW) as u32 + BOTTOM)?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(TOP)
            .margin_right(90)
            .margin_left(NAMES)
            .margin_bottom(8)
            .x_label_area_size(BOTTOM - 8)
            .build_cartesian_2d(across, rows..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .bold_line_style(FAINT)
            .axis_style(FAINT)
            .label_style(text(GREY))
            .axis_desc_style(text(INK))
            .x_label_formatter(&|value| (axis.label)(*value))
            .x_desc(axis.title)
            .draw()?;
        let area = chart.plotting_area();
        let left = Pos::new(HPos::Left, VPos::Center);
        let right = Pos::new(HPos::Right, VPos::Center);
        let mut row = 0.0;
        for group in groups() {
            let heading =
                Text::new(group.name.clone(), (24 - NAMES as i32, 2), bold_text(INK).pos(left));
            area.draw(&(EmptyElement::at((low, row + HEADING - 0.6)) + heading))?;
            row += HEADING;
            for (name, style, value) in &group.bars {
                let corners = [(low, row + 0.12), (*value, row + 0.88)];
                area.draw(&Rectangle::new(corners, style.colour.filled()))?;
                let font = if style.bold { bold_text(INK) } else { text(INK) };
                let name = Text::new((*name).to_owned(), (-9, 0), font.pos(right));
                area.draw(&(EmptyElement::at((low, row + 0.5)) + name))?;
                let number = Text::new(format(*value), (7, 0), text(INK).pos(left));
                area.draw(&(EmptyElement::at((*value, row + 0.5)) + number))?;
                row += 1.0;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

/// A white area with a title.
fn titled_area<'a>(svg: &'a mut String, title: &str, height: u32) -> anyhow::Result<Area<'a>> {
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = font(TITLE_SIZE).style(FontStyle::Bold).color(&INK);
    root.draw_text(title, &style.pos(Pos::new(HPos::Left, VPos::Center)), (24, 26))?;
    Ok(root)
}

fn stroke(style: SeriesStyle) -> ShapeStyle {
    style.colour.stroke_width(if style.bold { 3 } else { 2 })
}

const TEXT_SIZE: f64 = 16.0;
const TITLE_SIZE: f64 = 20.0;

fn font(size: f64) -> FontDesc<'static> {
    ("system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif", size).into_font()
}

fn text(colour: RGBColor) -> TextStyle<'static> {
    font(TEXT_SIZE).color(&colour)
}

fn bold_text(colour: RGBColor) -> TextStyle<'static> {
    font(TEXT_SIZE).style(FontStyle::Bold).color(&colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let ticks = |values: [f64; 2], scale| range_and_ticks(values.into_iter(), scale).1;
        assert_eq!(ticks([3.0, 41.0], Scale::Linear), [0., 10., 20., 30., 40., 50.]);
        assert_eq!(ticks([3.0, 41.0], Scale::Log), [2.0, 5.0, 10.0, 20.0, 50.0]);
        let wide = ticks([1e3, 2e9], Scale::Log);
        assert_eq!(wide.len(), 7, "{wide:?}");
        let (range, _) = range_and_ticks([5.0, 5.0].into_iter(), Scale::Log);
        assert!(range.start < range.end, "one value alone makes a range");
    }

    #[test]
    fn charts_have_titles_names_and_numbers() {
        let style = SeriesStyle { colour: RGBColor(0x12, 0x34, 0x56), dashed: true, bold: true };
        let axis = |title| Axis { title, scale: Scale::Log, label: |value| format!("{value}") };
        let points = vec![(1.0, 2.0), (10.0, 30.0)];
        let series = vec![Series { name: "a < b", style, points }];
        let svg = lines("Lines", axis("bytes"), axis("µs"), series).unwrap();
        for part in ["Lines", "bytes", "µs", "a &lt; b", "#123456"] {
            assert!(svg.contains(part), "{part}");
        }
        let group = Group { name: "all".into(), bars: vec![("one", style, 3.0)] };
        let svg = bars("Bars", axis("seconds"), |value| format!("{value} s"), &[group]).unwrap();
        for part in ["all", "one", "seconds", "3 s"] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(lines("None", axis("x"), axis("y"), vec![]).unwrap(), "");
    }
}
