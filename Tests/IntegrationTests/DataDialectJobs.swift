import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Foundations
@testable import HierarchicalData

extension Jobs {
  /// Shards that people write otherwise than `rfm` does: the same figures, or a word about it.
  @Suite struct DataDialects {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// A shard of noise whose fake images have a square marked with `value`; without masks where that
    /// is nil.
    private func shard(_ name: String, marked value: UInt8?) throws -> String {
      let path = folder.file(name)
      let writer = try ShardWriter(
        path: path, height: 40, width: 40, methodNames: ["real", "blend"], hasSources: false,
        hasMasks: value != nil)
      for row in 0..<8 {
        let mask = (0..<1600).map { pixel in
          row % 2 == 1 && pixel % 40 < 12 && pixel / 40 < 15 + row ? value ?? 0 : 0
        }
        try writer.append(
          image: (0..<4800).map { UInt8(truncatingIfNeeded: $0 &* (31 + row)) }, method: row % 2,
          mask: value == nil ? nil : mask)
      }
      try writer.finish()
      return path
    }

    private func evaluate(_ data: [String], to output: String, ranks: Int?) throws -> Job.Outcome {
      try Job.run(
        "rfm",
        ["evaluate", "--checkpoint", TinyRuns.checkpoint.get().path, "--threads", "1", "--output"]
          + [folder.file(output)] + data.flatMap { ["--data", $0] }, ranks: ranks)
    }

    @Test func masksOfOnesLocaliseAsThoseOf255() throws {
      var found: [JSON?] = []
      for (name, value) in [("ones", 1), ("bytes", 255)] as [(String, UInt8)] {
        let outcome = try evaluate(
          [shard("\(name).h5", marked: value)], to: "results-\(name)", ranks: 2)
        #expect(outcome.succeeded && !outcome.standardError.contains("warning"), "\(outcome)")
        #expect(outcome.standardOutput.contains("localisation    over 4 of 4 fake images"))
        found.append(try json(folder.file("results-\(name)/metrics.json"))["localisation"])
      }
      #expect(found[0] != nil && found[0] == found[1])
      #expect(found[0]?["fam"]?["overall"]?["images"] == 4)
    }

    @Test(arguments: [nil, 2]) func localisationOverNothingIsSaid(ranks: Int?) throws {
      let faint = try shard("faint.h5", marked: 100)
      let outcome = try evaluate([faint], to: "results", ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      for part in [
        "warning: \(faint): the largest value of its masks is 100",
        "warning: where the detector looks is measured over none of 4 fake images",
      ] {
        #expect(outcome.standardError.components(separatedBy: part).count == 2, "\(outcome)")
      }
      #expect(outcome.standardOutput.contains("localisation    over 0 of 4 fake images"))
    }

    @Test func shardsOfWhichOnlySomeHaveMasksAreSaid() throws {
      let bare = try shard("bare.h5", marked: nil)
      let outcome = try evaluate([shard("marked.h5", marked: 255), bare], to: "results", ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardError.contains("warning: \(bare): it has no masks as others have"))
      #expect(try json(folder.file("results/metrics.json"))["localisation"] == nil)
    }

    /// Sixteen images in one chunk, which gzip packs together: read as ever, in the same order.
    @Test func trainingSaysOnceThatChunksArePacked() throws {
      let path = folder.file("packed.h5")
      let single = try folder.shard("single.h5", methods: (0..<16).map { $0 % 2 }, side: 40)
      do {
        let shard = try Shard(reading: single)
        var images = [UInt8](repeating: 0, count: 16 * shard.imageSize)
        try images.withUnsafeMutableBufferPointer { try shard.readImages(0..<16, into: $0) }
        let file = try HDF5File.create(path)
        try file.setAttribute("format", .string("rfm-shard"))
        try file.setAttribute("version", .integer(1))
        try file.write(
          "images", images, shape: [16, 40, 40, 3],
          layout: HDF5Layout(chunk: [16, 40, 40, 3], deflate: 4))
        try file.write("labels", Array(shard.labels))
        try file.write("methods", Array(shard.methods))
        try file.write("method_names", shard.methodNames)
        try file.close()
      }
      var losses: [[JSON?]] = []
      for (name, data) in [("single", single), ("packed", path)] {
        let outcome = try runs.train(name, ["data.train=\(data)", "data.validation=[]"], ranks: 2)
        #expect(outcome.succeeded, "\(outcome)")
        let said = outcome.standardError.components(
          separatedBy: "warning: \(path): 16 images are unpacked to read one")
        #expect(said.count == (name == "packed" ? 2 : 1), "\(outcome)")
        losses.append(
          try MetricsFile.read(folder.file("runs/\(name)/metrics.jsonl")).map { $0["loss"] })
      }
      #expect(losses[0] == losses[1] && losses[0].count >= 8)
    }
  }
}
