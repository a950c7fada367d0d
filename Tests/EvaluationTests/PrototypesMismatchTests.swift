import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Evaluation
@testable import FaceShards
@testable import ForgeryMining
@testable import MessagePassing
@testable import Networks
@testable import Tensors

@Suite(.serialized) struct PrototypesMismatchTests {
  private let folder = TemporaryFolder()

  private func detector(_ change: (Detector) -> Void = { _ in }) -> LoadedDetector {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 3)
    change(detector)
    return LoadedDetector(detector, crop: 40, mean: 0.5, std: 0.25, source: "weights")
  }

  private func shard() throws -> String {
    let path = folder("v.h5")
    let writer = try ShardWriter(path: path, height: 48, width: 48, methodNames: ["real", "swap"])
    for row in 0..<6 {
      let image = (0..<48 * 48 * 3).map { UInt8(truncatingIfNeeded: $0 * (7 + row)) }
      try image.withUnsafeBufferPointer {
        try writer.append(image: $0, method: row % 2, source: "\(row)")
      }
    }
    try writer.finish()
    return path
  }

  private func prototypes(model: String?) -> PrototypesFile {
    PrototypesFile(
      Prototypes(
        methods: ["swap"], height: 40, width: 40,
        maps: (0..<1600).map { Float($0) / 1600 }, counts: [1]),
      origin: .init(model: model, imagesPerMethod: 1))
  }

  @Test func prototypesOfAnotherDetectorAreRefused() throws {
    let loaded = detector()
    for model in [nil, "xception-tiny"] {
      #expect(throws: Never.self) { try prototypes(model: model).require(loaded, path: "p") }
    }
    try prototypes(model: "xception").write(to: folder("p.h5"))
    let error = #expect(throws: OtherPrototypes.self) {
      try AttributionJob.run(
        loaded, prototypes: folder("p.h5"), data: [shard()], output: folder("out"), batch: 4,
        communicator: Communicator.world(needing: .single), workers: WorkerPool(threads: 1))
    }
    #expect(
      error?.description.contains(
        "p.h5: these are prototypes of the detector xception, not of xception-tiny") == true)
    #expect(!FileManager.default.fileExists(atPath: folder("out")))
  }

  @Test func prototypesOfAnotherTrainingOfTheSameNetworkAreTold() throws {
    let (own, other) = (detector(), detector { $0.values[7] += 1 })
    var file = prototypes(model: "xception-tiny")
    #expect(file.mismatch(with: own, path: "p") == nil)
    let written = try PrototypesJob.run(
      own, data: [shard()], imagesPerMethod: 2, output: folder("own.h5"), batch: 4,
      communicator: Communicator.world(needing: .single), workers: WorkerPool(threads: 1))
    file = try PrototypesFile(reading: folder("own.h5"))
    #expect(file == written)
    #expect(file.mismatch(with: own, path: "p") == nil)
    #expect(
      file.mismatch(with: other, path: "p")?.hasPrefix(
        "p: these are prototypes of other weights, weights, than those of weights, so") == true)
    let statistics = detector { $0.runningStatistics[0] += 1 }
    #expect(file.mismatch(with: statistics, path: "p") != nil)
  }

  /// A mean over maps that are no numbers would be none, and the file with it unreadable.
  @Test func mapsThatAreNotFiniteMakeNoPrototypesAndAreNotAttributed() throws {
    let broken = detector { $0.values[0] = .nan }
    let path = try shard()
    let communicator = try Communicator.world(needing: .single)
    let error = try #require(throws: NonFiniteMap.self) {
      _ = try PrototypesJob.run(
        broken, data: [path], imagesPerMethod: 2, output: folder("p.h5"), batch: 4,
        communicator: communicator, workers: WorkerPool(threads: 1))
    }
    let all = "\(path): the detector's attention map of every fake image"
    #expect(error.description.hasPrefix(all), "\(error)")
    #expect(!FileManager.default.fileExists(atPath: folder("p.h5")))
    try prototypes(model: nil).write(to: folder("given.h5"))
    let other = try #require(throws: NonFiniteMap.self) {
      _ = try AttributionJob.run(
        broken, prototypes: folder("given.h5"), data: [path], output: folder("out"), batch: 4,
        communicator: communicator, workers: WorkerPool(threads: 1))
    }
    let one = "\(path), row 1: the detector's attention map of this image"
    #expect(other.description.hasPrefix(one), "\(other)")
    #expect(!FileManager.default.fileExists(atPath: folder("out/attribution.json")))
  }
}
