import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Images

extension Jobs {
  /// Photos and videos as a detector sees them that was trained on faces out of such.
  @Suite struct ExplainFaces {
    private static let scenes = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "FacesTests/Golden")

    private static func scene(_ number: Int) -> String {
      scenes.appending(path: "scene-" + String(String(1000 + number).dropFirst()) + ".jpg").path
    }

    /// A detector of a few steps, trained on faces that `pack` found.
    private static let trained = Result { () throws -> (folder: TestFolder, checkpoint: String) in
      let folder = try TestFolder()
      cleanUp = folder.path
      atexit {
        if let path = ExplainFaces.cleanUp { try? FileManager.default.removeItem(atPath: path) }
      }
      var number = 0
      for split in ["train", "validation"] {
        for kind in ["real", "fake/swap"] {
          let place = folder.file("in/\(split)/\(kind)")
          try FileManager.default.createDirectory(
            atPath: place, withIntermediateDirectories: true)
          for _ in 0..<3 {
            try FileManager.default.copyItem(
              atPath: scene(number), toPath: "\(place)/person\(number).jpg")
            number += 1
          }
        }
      }
      try folder.write(
        """
        run: {directory: \(folder.file("runs")), name: faces}
        data:
          train: "\(folder.file("shards"))/train-*.h5"
          validation: "\(folder.file("shards"))/validation-*.h5"
          crop: 56
        model: {name: xception-tiny}
        training: {steps: 6, batch_per_rank: 4, threads: 1, optimizer: {learning_rate: 0.002}}
        checkpoint: {every_steps: 6}
        prototypes: {images_per_method: 2}

        """, to: "config.yaml")
      for arguments in [
        ["pack", "--input", folder.file("in"), "--output", folder.file("shards")] + crop,
        ["train", "--config", folder.file("config.yaml")],
      ] {
        let outcome = try Job.run("rfm", arguments)
        guard outcome.succeeded else { throw SharedData.Failure(description: "\(outcome)") }
      }
      return (folder, folder.file("runs/faces/checkpoints/latest"))
    }
    nonisolated(unsafe) private static var cleanUp: String?
    private static let crop = ["--faces", "detect", "--size", "64", "--margin", "1.6"]

    private let folder: TestFolder
    private let checkpoint: String

    init() throws {
      folder = try TestFolder()
      checkpoint = try Self.trained.get().checkpoint
    }

    private func explain(
      _ inputs: [String], checkpoint: String? = nil, ranks: Int? = nil
    ) throws -> Job.Outcome {
      try Job.run(
        "rfm",
        ["explain", "--checkpoint", checkpoint ?? self.checkpoint, "--threads", "1"] + inputs,
        ranks: ranks)
    }

    private func lines(_ outcome: Job.Outcome) throws -> [JSON] {
      try outcome.standardOutput.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    }

    /// Photos, one of them with three faces, and a video, below `test/real` and `test/fake/swap`.
    private func media() throws {
      for place in ["in/test/real", "in/test/fake/swap"] {
        try FileManager.default.createDirectory(
          atPath: folder.file(place), withIntermediateDirectories: true)
      }
      try FileManager.default.copyItem(
        atPath: Self.scene(15), toPath: folder.file("in/test/real/crowd.jpg"))
      try FileManager.default.copyItem(
        atPath: Self.scene(17), toPath: folder.file("in/test/fake/swap/alone.jpg"))
      let wide = try ImageDecoder.decode(path: Self.scene(13))
      let frames = (0..<12).map {
        wide.cropped(left: $0 * 2, top: 0, width: wide.width - 24, height: wide.height)
      }
      try Data(MotionJPEG.avi(frames)).write(
        to: URL(filePath: folder.file("in/test/real/film.avi")))
    }

    /// Logits of `evaluate` by file, in the order of its frames.
    private func evaluated() throws -> [String: [(real: Double, fake: Double)]] {
      for arguments in [
        ["pack", "--input", folder.file("in"), "--output", folder.file("d"), "--frames", "5"]
          + Self.crop,
        [
          "evaluate", "--checkpoint", checkpoint, "--threads", "1", "--data",
          folder.file("d/test-*.h5"), "--output", folder.file("e"),
        ],
      ] {
        let outcome = try Job.run("rfm", arguments)
        #expect(outcome.succeeded, "\(outcome)")
      }
      let table = String(decoding: try bytes(folder.file("e/scores.csv")), as: UTF8.self)
        .split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
      let place = { (name: String) in try #require(table[0].firstIndex { $0 == name }) }
      let (path, real, fake) = (
        try place("path"), try place("logit_real"), try place("logit_fake")
      )
      var logits: [String: [(real: Double, fake: Double)]] = [:]
      for row in table.dropFirst() {
        logits[String(row[path]), default: []].append(
          (try #require(Double(row[real])), try #require(Double(row[fake]))))
      }
      return logits
    }

    /// The crop is that of the training: what is said of a face is what an evaluation says of it.
    @Test(arguments: [nil, 2]) func facesGetTheLogitsThatAnEvaluationGives(ranks: Int?) throws {
      try media()
      let outcome = try explain([folder.file("in"), "--frames", "5"], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      let told = try lines(outcome)
      let names = ["fake/swap/alone.jpg", "real/crowd.jpg", "real/film.avi"]
      let expected = try evaluated()
      #expect(Set(expected.keys) == Set(names.map { "test/\($0)" }))
      var order: [String] = []
      for name in names {
        let path = folder.file("in/test/\(name)")
        let own = told.filter { $0["path"]?.textValue == path && $0["kind"] == nil }
        order += own.map { _ in path }
        let isVideo = name.hasSuffix("avi")
        if isVideo { order.append(path) }
        #expect(own.count == (isVideo ? 5 : name == "real/crowd.jpg" ? 3 : 1))
        // Of several people in a photo `pack` takes the one who is largest.
        let (faces, logits) = (
          isVideo ? own : Array(own.prefix(1)), try #require(expected["test/\(name)"])
        )
        #expect(faces.count == logits.count)
        for (face, logit) in zip(faces, logits) {
          #expect(abs(try #require(face["logit_real"]?.doubleValue) - logit.real) < 1e-5)
          #expect(abs(try #require(face["logit_fake"]?.doubleValue) - logit.fake) < 1e-5)
        }
      }
      #expect(told.map { $0["path"]?.textValue } == order)
      let video = try #require(told.last)
      let probabilities = told.filter { $0["frame"] != nil }.compactMap {
        $0["probability_fake"]?.doubleValue
      }
      #expect(probabilities.count == 5 && video["kind"]?.textValue == "video")
      let mean = try #require(video["probability_fake"]?.doubleValue)
      #expect(abs(mean - probabilities.reduce(0, +) / 5) < 1e-12)
      #expect(
        outcome.standardError.contains(
          "faces are looked for in images and videos, and cut out with margin 1.6, alignment none, "
            + "size 64, as those of \(checkpoint) were"), "\(outcome)")
    }

    @Test func optionsThatContradictTheDetectorAreRefused() throws {
      let photo = Self.scene(15)
      for ranks in [nil, 2] {
        let refused = try explain([photo, "--margin", "1.3"], ranks: ranks)
        #expect(
          refused.isRefusal(64, "--margin 1.3 contradicts", "margin 1.6", "--any-preprocessing"),
          "\(refused)")
      }
      let any = try explain([photo, "--margin", "1.3", "--any-preprocessing"])
      #expect(any.succeeded && any.standardOutput.split(separator: "\n").count == 3, "\(any)")
      let kept = try explain([photo, "--faces", "keep"])
      #expect(kept.succeeded && kept.standardOutput.split(separator: "\n").count == 1, "\(kept)")
      let both = try explain([photo, "--faces", "keep", "--margin", "1.6"])
      #expect(both.status == 64 && both.standardOutput.isEmpty, "\(both)")
      #expect(
        both.standardError.hasPrefix("Error: --margin says how faces are cut out"), "\(both)")
      try PNGCodec.write(KnownImage.pattern(width: 150, height: 150), to: folder.file("none.png"))
      let nobody = try explain([folder.file("none.png")])
      #expect(nobody.isRefusal(65, "none.png: no face found"), "\(nobody)")
    }

    /// A detector that says nothing of faces gets images as it always did.
    @Test func imagesAreTakenAsTheyAreWhereTheDetectorSaysNothing() throws {
      let other = try TinyRuns.checkpoint.get().path
      let outcome = try explain([Self.scene(15)], checkpoint: other)
      #expect(outcome.succeeded, "\(outcome)")
      let told = try lines(outcome)
      #expect(told.count == 1 && told[0]["face"] == nil && told[0]["box"] == nil)
      #expect(outcome.standardError.contains("images are taken for faces already"), "\(outcome)")
      let kept = try explain([Self.scene(15), "--faces", "keep"], checkpoint: other)
      #expect(kept.standardOutput == outcome.standardOutput)
    }

    @Test(.enabled(if: Browser.path != nil, Browser.absence))
    func theirPageReadsWellAtEveryWidth() throws {
      try media()
      try FileManager.default.copyItem(
        atPath: Self.scene(6), toPath: folder.file("in/test/real/<b>&\"'.jpg"))
      let outcome = try explain([folder.file("in"), "--output", folder.file("out")])
      #expect(outcome.succeeded, "\(outcome)")
      let page = String(decoding: try bytes(folder.file("out/index.html")), as: UTF8.self)
      try folder.write(Browser.probed(page), to: "out/probed.html")
      let kept = ProcessInfo.processInfo.environment["RFM_KEEP_PICTURES"] ?? folder.path
      for (width, height) in [(1200, 6000), (390, 11_000)] {
        for isDark in [false, true] {
          let name = "explained-faces-\(width)-\(isDark ? "dark" : "light")"
          let showing = try Browser.show(
            folder.file("out/probed.html"), width: width, height: height, isDark: isDark,
            picture: "\(kept)/\(name).png", in: folder)
          #expect(showing.job.status == 0 && !showing.job.timedOut, "\(name): \(showing.job)")
          #expect(showing.console.isEmpty, "\(name): \(showing.console)")
          #expect(showing.fetched.isEmpty, "\(name): \(showing.fetched)")
          let probe = showing.probe
          #expect(probe["scroll"]?.integerValue == width, "\(name): \(probe)")
          #expect(probe["outside"]?.arrayValue == [], "\(name): \(probe)")
          #expect(probe["broken"]?.integerValue == 0, "\(name)")
          #expect(probe["skips"]?.integerValue == 0, "\(name)")
          #expect(probe["unlabelled"]?.integerValue == 0, "\(name)")
          #expect(probe["flat"]?.arrayValue == [] && probe["empty"]?.arrayValue == [], "\(name)")
          let plots = try #require(probe["plots"]?.arrayValue).compactMap(\.textValue)
          #expect(plots.count == 1 && plots[0].hasPrefix("plot-video-"), "\(name)")
          let tip = try #require(probe["tips"]?[plots[0]]?.textValue)
          #expect(tip.contains(/[0-9]/), "\(name): '\(tip)'")
        }
      }
    }
  }
}
