import Foundation
import Testing

@testable import Evaluation

@Suite struct DataSetTests {
  @Test func argumentsNameDataSetsOrAreOneTogether() throws {
    for (argument, name, pattern) in [
      ("d/test-*.h5", nil, "d/test-*.h5"), ("FF++=ff/*.h5", "FF++", "ff/*.h5"),
      ("Celeb-DF_v2.1={a,b}=c.h5", "Celeb-DF_v2.1", "{a,b}=c.h5"),
      ("runs/lr=0.1/x.h5", nil, "runs/lr=0.1/x.h5"), ("=x.h5", nil, "=x.h5"),
      ("..=x.h5", nil, "..=x.h5"), ("a b=x.h5", nil, "a b=x.h5"),
    ] {
      let split = EvaluationData.split(argument)
      #expect(split.name == name && split.pattern == pattern, "\(argument)")
    }
    #expect(
      try EvaluationData.sets(of: [(nil, "a"), (nil, "b")]) == [
        EvaluationData(patterns: ["a", "b"])
      ])
    #expect(
      try EvaluationData.sets(of: [("A", "a"), ("B", "b")])
        == [EvaluationData(name: "A", patterns: ["a"]), EvaluationData(name: "B", patterns: ["b"])])
    #expect(throws: EvaluationData.Refusal.someUnnamed(pattern: "b")) {
      try EvaluationData.sets(of: [("A", "a"), (nil, "b")])
    }
    #expect(throws: EvaluationData.Refusal.twice(name: "a")) {
      try EvaluationData.sets(of: [("A", "a"), ("a", "b")])
    }
  }

  @Test func videosAreToldByFramesOrByNamesOfFrames() throws {
    let places = try VideoPlaces(
      paths: [
        "a.mp4", "a.mp4", "a.mp4", "b/000.png", "b/001.png", "c_0001.png", "c_0002.png",
        "c-f0003.jpg",
      ],
      frames: [0, 0, 9, -1, -1, -1, -1, -1], sources: ["a", "a", "a", "b", "b", "c", "c", "c"])
    #expect(places.videos == [0, 0, 0, 1, 1, 2, 2, 2])
    #expect(places.frames == [0, 0, 1, 2, 3, 4, 5, 6])
    // Pictures of several people are numbered too; a portrait is no frame; and without a source nothing
    // speaks for a video.
    for (paths, sources, unknown) in [
      (["real/1.png", "real/2.png"], ["x", "y"], 1), (["me.png", "b/1.png"], ["x", "b"], 1),
      (["real/1.png", "real/2.png"], ["", ""], 2), (["", ""], ["x", "y"], 2),
    ] {
      #expect(throws: VideoPlaces.Unknown(images: unknown), "\(paths)") {
        try VideoPlaces(paths: paths, frames: [-1, -1], sources: sources)
      }
    }
  }

  @Test func aVideosScoreIsTheMeanOrMedianOfItsFramesLargest() throws {
    let samples = ScoredSamples(
      scores: [0.1, 0.9, 0.2, 0.4, 0.3, 0.5, 0.6], labels: [1, 1, 1, 1, 0, 0, 1],
      methods: [1, 1, 1, 1, 0, 0, 2], methodNames: ["real", "swap", "eyes"],
      sources: ["s", "s", "s", "s", "s", "s", "s"])
    // One video by its place, but by method a video of its own; the first frame has two faces.
    let places = try VideoPlaces(
      paths: Array(repeating: "v.mp4", count: 7), frames: [0, 0, 1, 2, 0, 1, 0],
      sources: Array(repeating: "s", count: 7))
    let mean = samples.byVideo(places, median: false)
    #expect(mean.scores == [(0.9 + 0.2 + 0.4) / 3, 0.4, 0.6])
    #expect(mean.labels == [1, 0, 1] && mean.methods == [1, 0, 2] && mean.sources == [0, 0, 0])
    #expect(samples.byVideo(places, median: true).scores == [0.4, 0.4, 0.6])
  }

  @Test func meansOverDataSetsAreThoseOfTheirFiguresWithIntervalsOfTheirOwn() throws {
    func metrics(_ auc: Double, _ eer: Double?) throws -> DetectionMetrics {
      var metrics = try DetectionMetrics(scores: [0.1, 0.9], labels: [0, 1])
      (metrics.auc, metrics.eer) = (auc, eer)
      return metrics
    }
    let means = try DataSetsReport.Means([metrics(0.8, 0.1), metrics(0.9, nil)], drawn: nil)
    #expect((try #require(means.figures[.auc]) - 0.85).magnitude < 1e-15)
    #expect(means.figures[.eer] == nil && means.intervals == nil)

    // The spread of a mean of two equal, independent sets is that of one over √2.
    typealias Values = FigureDraws.Values
    let draws = (0..<999).map {
      Values(repeating: NormalDistribution.quantile((Double($0) + 0.5) / 999))
    }
    func drawn(_ draws: [Values]) -> FigureDraws {
      FigureDraws(
        estimate: .zero, draws: draws, influences: [[.one, .init(repeating: -1)]],
        sources: (30, 50))
    }
    let shuffled = draws.indices.map { draws[$0 * 370 % 999] }
    let mean = FigureDraws.mean([drawn(draws), drawn(shuffled)])
    let (one, both) = (try #require(drawn(draws).interval(0)), try #require(mean.interval(0)))
    #expect((one.high - 1.96).magnitude < 0.02 && (one.low + 1.96).magnitude < 0.02)
    #expect((both.high - 1.96 / 2.0.squareRoot()).magnitude < 0.15)
    #expect(mean.influences.count == 2 && mean.influences[1][0][0] == 0.5)
    #expect(mean.sources == (30, 50))
  }

  @Test func aTableOfScoresReadsBackAndSaysWhereItCanNotBeRead() throws {
    let table = ScoresTable(rows: [
      .init(
        path: "a \"b\",\nc.png", source: "", label: 1, method: "swap, new", logitReal: -1.25,
        logitFake: 3.1e-7),
      .init(path: "", source: "s", label: 0, method: "real", logitReal: 2, logitFake: 0.1),
    ])
    let lines = table.rows.enumerated().map { $1.line($0, probability: [0.75, 0.25][$0]) }
    let text = ScoresTable.heading + lines.joined()
    let again = try ScoresTable(parsing: Array(text.utf8)[...], path: "x.csv")
    #expect(again.rows == table.rows)
    let windows = Array(text.replacing("\n", with: "\r\n").utf8)
    #expect(try ScoresTable(parsing: windows[...], path: "x.csv").rows.count == 2)
    #expect(table.rows[0].isOfTheImage(of: again.rows[0]))
    #expect(!table.rows[0].isOfTheImage(of: table.rows[1]))
    let heading = ScoresTable.heading
    for (text, words) in [
      ("", "is empty"), ("a,b\n", "line 1: the columns are not"),
      (heading + "0,,,0\n", "line 2: has 4 fields"),
      (heading + "1,,,0,real,1,1,0.5\n", "line 2: index 1, where 0 is due"),
      (heading + "0,,,2,real,1,1,0.5\n", "line 2: label 2"),
      (heading + "0,,,0,real,nan,1,0.5\n", "line 2: a logit"),
    ] {
      do {
        _ = try ScoresTable(parsing: Array(text.utf8)[...], path: "x.csv")
        Issue.record("taken: \(text)")
      } catch {
        #expect("\(error)".hasPrefix("x.csv: \(words)"), "\(error)")
      }
    }
  }

  @Test func imagesWithoutSourceAreNamedAndCounted() {
    #expect(throws: UnknownSources(data: "d", images: 1, all: 2)) {
      try UnknownSources.check(["", "a"], data: "d")
    }
    #expect(throws: Never.self) { try UnknownSources.check(["b", "a"], data: "d") }
  }
}
