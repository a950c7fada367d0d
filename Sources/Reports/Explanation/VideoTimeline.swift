/// A video's course: the probability of fake of every frame that was looked at, over time.
struct VideoTimeline {
  private let video: VideoExplanation
  private let number: Int

  /// - Parameter number: of the video's card, unique in the page.
  init(_ video: VideoExplanation, number: Int) {
    self.video = video
    self.number = number
  }

  var figure: HTML {
    let isTimed = video.frames.allSatisfy { $0.time != nil }
    let places = video.frames.map { isTimed ? $0.time ?? 0 : Double($0.index) }
    let x = Axis.linear(over: places, isTight: true, whole: !isTimed)
    let gaps = zip(places, video.frames).filter { $1.probability == nil }.map(\.0)
    var plot = Plot(
      identifier: "plot-video-\(number)", title: "Probability of fake over time", x: x,
      y: .linear(over: [0, 1]), xTitle: isTimed ? "seconds" : "frame",
      yTitle: "probability of fake",
      series: [
        Series(
          name: "frames", curve: Curve(x: places, y: video.frames.map(\.probability)),
          style: .marked, color: 0, remarks: video.frames.map { "frame \($0.index)" }),
        Series(
          name: "called fake from here on",
          curve: Curve(
            x: [x.range.lowerBound, x.range.upperBound], y: [video.threshold, video.threshold]),
          style: .reference, color: 6, isHoverable: false),
      ])
    plot.gaps = gaps
    plot.gapName = "no face found"
    plot.height = 240
    plot.description =
      "Probability of fake of \(video.framesWithFace) frames with a face; "
      + (gaps.isEmpty ? "every frame has one." : "\(gaps.count) frames have none.")
    return "<div class=\"timeline\">\(plot.figure())</div>\n"
  }
}
