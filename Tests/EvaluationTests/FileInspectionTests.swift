import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Evaluation
@testable import FaceShards
@testable import ForgeryMining
@testable import Foundations
@testable import HierarchicalData
@testable import Networks

@Suite struct FileInspectionTests {
  private let temporary = TemporaryFolder()
  private var folder: String { temporary.path }

  private func inspect(_ name: String, verifies: Bool = true) -> FileInspection {
    FileInspection(of: "\(folder)/\(name)", depth: .init(verifies: verifies))
  }

  private func writeShard(_ name: String) throws {
    let writer = try ShardWriter(
      path: "\(folder)/\(name)", height: 4, width: 4, methodNames: ["real", "blend"],
      hasSources: false)
    for method in [0, 1, 1] {
      try writer.append(image: (0..<48).map { UInt8($0 * 5 + method) }, method: method)
    }
    try writer.finish()
  }

  private func writePrototypes(_ path: String) throws {
    try PrototypesFile(
      Prototypes(
        methods: ["blend"], height: 2, width: 2, maps: [0, 0.5, 1, 0.25], counts: [7])
    ).write(to: path)
  }

  @Test func whatAFileIsIsToldByItsContents() throws {
    try writeShard("shard")
    try writePrototypes("\(folder)/prototypes")
    try Safetensors.write(
      [NamedTensor(name: "w", shape: [2, 2], values: [1, 2, 3, 4])], metadata: ["made": "here"],
      to: "\(folder)/weights")
    do {
      let file = try HDF5File.create("\(folder)/maps")
      try file.setAttribute("kind", .string("fam"))
      try file.write("attention", [Float](repeating: 0, count: 8), shape: [2, 2, 2])
    }
    #expect(inspect("shard").lines[0] == "shard of 3 images, 4x4 pixels")
    #expect(
      inspect("prototypes").lines.prefix(2) == [
        "prototypes of 1 methods, 2x2", "  blend: mean over 7 images",
      ])
    let weights = inspect("weights")
    #expect(weights.lines[0] == "safetensors file of 1 tensors, 4 values")
    #expect(weights.lines.contains("  made: here") && weights.lines.contains("  w: F32 2x2"))
    let maps = inspect("maps")
    #expect(maps.lines[0] == "HDF5 file" && maps.lines[1] == "  attribute kind: fam")
    #expect(maps.lines[2].hasPrefix("  attention: float32 [2, 2, 2], in one piece"))
    for name in ["shard", "prototypes", "weights", "maps"] {
      let inspection = inspect(name)
      #expect(inspection.problems.isEmpty && inspection.status == .done)
    }
  }

  /// Other programs put a block of their own in front, which the format allows.
  @Test(arguments: [512, 1024, 4096]) func filesBehindAUserBlockAreToldToo(size: Int) throws {
    try writeShard("plain")
    try writePrototypes("\(folder)/prototypes")
    for (name, line) in [
      ("plain", "shard of 3 images, 4x4 pixels"), ("prototypes", "prototypes of 1 methods, 2x2"),
    ] {
      let bytes = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
      try (Data(repeating: 65, count: size) + bytes).write(to: URL(filePath: "\(folder)/behind"))
      let inspection = inspect("behind")
      #expect(inspection.lines.first == line && inspection.problems.isEmpty, "\(inspection)")
    }
    try Data(repeating: 65, count: 3000).write(to: URL(filePath: "\(folder)/behind"))
    #expect(inspect("behind").problems.first?.contains("neither an HDF5 nor") == true)
  }

  /// Every kind of link, written by h5py: what leads nowhere hides nothing of the rest.
  @Test func linksOfAFileFromElsewhereAreListedWhereverTheyLead() throws {
    let golden = try #require(Bundle.module.url(forResource: "Golden/links.h5", withExtension: nil))
    let inspection = FileInspection(of: golden.path, depth: .init(verifies: true))
    #expect(inspection.problems.isEmpty && inspection.status == .done, "\(inspection.problems)")
    let expected = [
      "HDF5 file",
      "  a circle: soft link to /a circle, which can't be followed: ",
      "  a dangling: soft link to /nowhere/ü, which can't be followed: ",
      "  a deeper: soft link to /folder/inside, float32 [2], in one piece",
      "  a group: soft link to /folder, not a dataset",
      "  a soft: soft link to data, int32 [3], in one piece",
      "  an external: link into another file, which is not followed",
      "  an external behind: soft link to /an external/more, which can't be followed: ",
      "  data: int32 [3], in one piece",
      "  folder: not a dataset",
    ]
    #expect(inspection.lines.count == expected.count, "\(inspection.lines)")
    for (line, beginning) in zip(inspection.lines, expected) {
      #expect(line.hasPrefix(beginning), "\(line)")
    }
  }

  /// A soft link has the library open what it would not meet in the root.
  @Test func whatASoftLinkLeadsToIsCheckedBeforeTheLibraryOpensIt() throws {
    let golden = try #require(Bundle.module.url(forResource: "Golden/links.h5", withExtension: nil))
    var bytes = try Data(contentsOf: golden)
    // The type of /folder/inside, the only float32 there: 33 bits in 4 bytes.
    let type: [UInt8] = [0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23]
    let place = try #require(bytes.firstRange(of: type)?.lowerBound)
    bytes[place + 10] = 33
    try bytes.write(to: URL(filePath: "\(folder)/damaged"))
    let damaged = inspect("damaged")
    #expect(damaged.status == .badData && damaged.lines.isEmpty)
    #expect(
      damaged.problems.first?.contains("a floating-point type's fields do not fit into it") == true,
      "\(damaged.problems)")
  }

  @Test func checkpointsAndRunsAreDescribedAndDamageIsFoundWhenVerifying() throws {
    try FileManager.default.createDirectory(
      atPath: "\(folder)/run/checkpoints", withIntermediateDirectories: true)
    let store = CheckpointStore(path: "\(folder)/run/checkpoints")
    let tensors = [NamedTensor(name: "w", shape: [2], values: [1, 2])]
    let state = CheckpointState(
      step: 30, epoch: 1, position: 480, seed: 5, configurationDigest: "abc", ranks: 2,
      detector: .init(name: "xception-tiny", crop: 64, mean: 0.5, std: 0.25),
      metrics: [.init("auc", .number(0.75))])
    let checkpoint = try store.write(
      state, model: tensors, optimizer: tensors, isBest: true, prototypes: writePrototypes)
    let name = String(checkpoint.path.dropFirst(folder.count + 1))
    let good = inspect(name)
    #expect(good.problems.isEmpty)
    #expect(good.lines[0] == "checkpoint after step 30, epoch 1, at position 480")
    #expect(good.lines.contains("  auc: 0.75"))
    let run = inspect("run")
    #expect(run.lines[0] == "run with 1 checkpoint")
    #expect(run.lines[1].hasSuffix("/step-00000030 (latest, best)"))

    var bytes = try Data(contentsOf: URL(filePath: checkpoint.modelPath))
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: URL(filePath: checkpoint.modelPath))
    #expect(inspect(name, verifies: false).problems.isEmpty)
    let damaged = inspect(name)
    #expect(damaged.status == .badData)
    #expect(damaged.problems.first?.contains("model.safetensors: is damaged") == true)
  }

  @Test func weightsAreSaidToBeWhatTheyAre() throws {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 1)
    func lines(_ change: (NamedTensor) -> NamedTensor?) throws -> [String] {
      try Safetensors.write(
        detector.weights().compactMap(change), to: "\(folder)/w.safetensors")
      let inspection = inspect("w.safetensors")
      #expect(inspection.problems.isEmpty, "\(inspection.problems)")
      return inspection.lines
    }
    #expect(try lines { $0 }.contains("  weights of xception-tiny, head fc of 2 classes"))
    let wrapped = try lines {
      NamedTensor(
        name: "module." + $0.name.replacing("fc.", with: "last_linear.1."), shape: $0.shape,
        values: $0.values)
    }
    #expect(
      wrapped.contains(
        "  weights of xception-tiny, names behind 'module.', head module.last_linear.1 of 2 classes"
      ))
    let headless = try lines { $0.name.hasPrefix("fc.") ? nil : $0 }
    #expect(headless.contains { $0.contains("without a head: no detector") })
    let unbiased = try lines { $0.name == "fc.bias" ? nil : $0 }
    #expect(
      unbiased.contains(
        "  weights of xception-tiny, head fc of 2 outputs without fc.bias: no detector"))
    #expect(throws: WeightsError.self) {
      try LoadedDetector(opening: "\(folder)/w.safetensors") { _ in }
    }
    let none = try lines { NamedTensor(name: "x.y." + $0.name, shape: [1], values: [0]) }
    #expect(none.last == "  no detector: no network here has tensors of such names and shapes")
    // What is not whole is compared with the detector that it comes closest to.
    let part = try lines { $0.name == "conv3.conv1.weight" ? nil : $0 }
    #expect(
      part.contains(
        "  no detector: tensor conv3.conv1.weight [256, 1, 3, 3] of xception-tiny is missing"))
    #expect(
      part.suffix(2) == [
        "  nearest is xception-tiny: 125 of its 126 tensors are there in their shapes",
        "  1 missing: conv3.conv1.weight [256, 1, 3, 3]",
      ])
    // An index with its parts.
    try FileManager.default.moveItem(
      atPath: "\(folder)/w.safetensors", toPath: "\(folder)/part.safetensors")
    let names = detector.weights().map(\.name).filter { $0 != "conv3.conv1.weight" }
    let map = names.map { "\"\($0)\":\"part.safetensors\"" }.joined(separator: ",")
    try DurableFile.write("{\"weight_map\":{\(map)}}", to: "\(folder)/model.safetensors.index.json")
    let index = inspect("")
    #expect(index.problems.isEmpty && index.lines[0].hasPrefix("index of 1 file of 127 tensors"))
    try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors.index.json")
  }

  /// Names alone do not tell EfficientNets apart; metadata do.
  @Test func networksOfTheSameTensorsAreAllNamed() throws {
    let tensors = Detector(.tfEfficientnetB0).weights()
    let others = "tf-efficientnet-b0, efficientnet-pytorch-b0"
    let cases: [([String: String], String, Bool)] = [
      ([:], "efficientnet-b0", true),
      (["model": "tf-efficientnet-b0"], "tf-efficientnet-b0", false),
      (["architecture": "tf_efficientnet_b0"], "tf-efficientnet-b0", false),
    ]
    for (metadata, first, isOpen) in cases {
      try Safetensors.write(tensors, metadata: metadata, to: "\(folder)/w.safetensors")
      let lines = inspect("w.safetensors", verifies: false).lines
      #expect(lines.contains("  weights of \(first), head classifier of 2 classes"))
      #expect(
        lines.contains("  or of \(others): the same tensors, used otherwise; --model says which")
          == isOpen)
    }
  }

  @Test func whatIsWrongIsNamedWithItsStatus() throws {
    let missing = inspect("missing.h5")
    #expect(missing.status == .inputOutput && missing.problems.count == 1)
    #expect(missing.problems[0].contains("missing.h5: No such file or directory"))
    try Data("hello, this is text".utf8).write(to: URL(filePath: "\(folder)/text.h5"))
    let text = inspect("text.h5")
    #expect(text.status == .badData)
    #expect(text.problems[0].contains("text.h5: it is neither an HDF5 nor a safetensors file"))
    #expect(inspect("").status == .badData)
    try Safetensors.write(
      [NamedTensor(name: "w", shape: [3], values: [1, .nan, .infinity])], metadata: [:],
      to: "\(folder)/nan.safetensors")
    let notFinite = inspect("nan.safetensors")
    #expect(
      notFinite.problems
        == ["\(folder)/nan.safetensors, tensor w: 2 of its values are not finite"])
    try writeShard("shard.h5")
    var bytes = try Data(contentsOf: URL(filePath: "\(folder)/shard.h5"))
    let image = (0..<48).map { UInt8($0 * 5 + 1) }
    let place = try #require(bytes.firstRange(of: image))
    bytes[place.lowerBound] ^= 4
    try bytes.write(to: URL(filePath: "\(folder)/shard.h5"))
    #expect(inspect("shard.h5", verifies: false).problems.isEmpty)
    let damaged = inspect("shard.h5")
    #expect(damaged.status == .badData && damaged.problems.count == 1)
    #expect(damaged.problems[0].contains("shard.h5, images: cannot read row 1: "))
    // Each of two ranks reads its own rows.
    let parts = (0..<2).map {
      FileInspection(
        of: "\(folder)/shard.h5", depth: .init(verifies: true, rank: $0, ranks: 2))
    }
    #expect(parts.map(\.problems.count) == [1, 0])
    try bytes.prefix(1500).write(to: URL(filePath: "\(folder)/cut.h5"))
    #expect(inspect("cut.h5").status == .badData)
  }

  /// Names, attributes and metadata are whatever a file says, and may address the terminal.
  @Test func whatAFileSaysIsShownWithoutItsControlCharacters() throws {
    let hostile = "a\u{1b}]0;owned\u{7}\u{9b}31m\n\u{202e}z"
    try PrototypesFile(
      Prototypes(methods: [hostile], height: 1, width: 2, maps: [0, 1], counts: [7]),
      origin: .init(model: hostile, data: hostile)
    ).write(to: "\(folder)/prototypes")
    try Safetensors.write(
      [NamedTensor(name: hostile, shape: [1], values: [.nan])], metadata: [hostile: hostile],
      to: "\(folder)/weights")
    do {
      let file = try HDF5File.create("\(folder)/other")
      try file.setAttribute(hostile, .string(hostile))
      try file.write(hostile, [Float](repeating: 0, count: 8))
    }
    let writer = try ShardWriter(
      path: "\(folder)/shard", height: 1, width: 1, methodNames: ["real", hostile],
      hasSources: false)
    try writer.append(image: [1, 2, 3], method: 1)
    try writer.finish()
    for name in ["prototypes", "weights", "other", "shard"] {
      let inspection = inspect(name)
      let shown = inspection.lines + inspection.problems
      #expect(shown.contains { $0.contains("\\u{1b}") }, "\(name)")
      for line in shown {
        let isPlain = line.unicodeScalars.allSatisfy {
          ![.control, .format].contains($0.properties.generalCategory)
        }
        #expect(isPlain, "\(name): \(line.debugDescription)")
      }
    }
  }
}
