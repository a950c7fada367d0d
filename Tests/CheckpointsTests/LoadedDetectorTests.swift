import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import FaceShards
@testable import Images
@testable import MessagePassing
@testable import Networks
@testable import Training

@Suite(.serialized) struct LoadedDetectorTests {
  private let folder = TemporaryFolder()

  private static func detector(_ seed: UInt64 = 3) -> Detector {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: seed)
    return detector
  }

  private func write(
    _ tensors: [NamedTensor], _ metadata: [String: String] = [:], _ name: String = "w.safetensors"
  ) throws -> String {
    try Safetensors.write(tensors, metadata: metadata, to: folder(name))
    return folder(name)
  }

  private func load(
    _ path: String, _ asked: WeightsUse = WeightsUse()
  ) throws -> (loaded: LoadedDetector, remarks: [String]) {
    var remarks: [String] = []
    let loaded = try LoadedDetector(opening: path, asked: asked) { remarks.append("\($0)") }
    return (loaded, remarks)
  }

  private func refusal(_ path: String, _ asked: WeightsUse = WeightsUse()) -> String {
    do {
      _ = try load(path, asked)
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  // MARK: What a checkpoint's weights say

  private func checkpoint() throws -> Checkpoint {
    let store = CheckpointStore(path: folder.path)
    return try store.write(
      CheckpointState(
        step: 7, epoch: 0, position: 3, seed: 5, configurationDigest: "c", ranks: 1,
        detector: .init(
          name: "xception-tiny", crop: 72, mean: .init(red: 0.485, green: 0.456, blue: 0.406),
          std: .init(red: 0.229, green: 0.224, blue: 0.225))),
      model: Self.detector().weights(), optimizer: [], isBest: true)
  }

  @Test func aCheckpointsBareFileSaysItselfHowItIsUsed() throws {
    let checkpoint = try checkpoint()
    let whole = try load(checkpoint.path)
    let bare = try load(checkpoint.modelPath)
    for (loaded, remarks) in [whole, bare] {
      #expect(remarks.isEmpty)
      #expect(loaded.detector.name == .xceptionTiny && loaded.crop == 72)
      #expect(loaded.mean.all == [0.485, 0.456, 0.406] && loaded.std.all == [0.229, 0.224, 0.225])
      #expect(loaded.detector.weights() == Self.detector().weights())
    }
    #expect(whole.loaded.checkpoint == checkpoint && bare.loaded.checkpoint == nil)
    #expect(
      try SafetensorsFile(opening: checkpoint.modelPath).metadata == [
        "format": "pt", "model": "xception-tiny", "crop": "72", "mean": "[0.485, 0.456, 0.406]",
        "std": "[0.229, 0.224, 0.225]", "classes": "real,fake",
      ])
  }

  @Test func optionsThatContradictACheckpointAreRefused() throws {
    let path = try checkpoint().path
    for (asked, words) in [
      (WeightsUse(model: .xception), "--model xception contradicts"),
      (WeightsUse(crop: 64), "--crop 64 contradicts"),
      (WeightsUse(mean: 0.5), "--mean 0.5 contradicts"),
      (WeightsUse(std: 0.25), "--std 0.25 contradicts"),
      (WeightsUse(classes: .fakeReal), "--classes fake,real contradicts"),
      (WeightsUse(head: .sigmoid), "--head sigmoid contradicts"),
      (WeightsUse(head: .patch), "--head patch contradicts"),
      (WeightsUse(truncate: "block2"), "--truncate block2 contradicts"),
    ] {
      #expect(refusal(path, asked).contains(words), "\(refusal(path, asked))")
    }
    let same = WeightsUse(model: .xceptionTiny, crop: 72, classes: .realFake, head: .softmax)
    #expect(throws: Never.self) { try load(path, same) }
  }

  // MARK: Bare weights

  @Test func optionsWinOverMetadataAndAreSaid() throws {
    let path = try write(
      Self.detector().weights(), ["crop": "96", "mean": "0.4", "std": "[0.5,0.5,0.5]"])
    let (loaded, remarks) = try load(path, WeightsUse(crop: 64, std: 0.25, classes: .realFake))
    #expect(loaded.crop == 64 && loaded.mean == 0.4 && loaded.std == 0.25)
    #expect(
      remarks == [
        "note: \(path): --crop 64 wins over its metadata, which say 96",
        "note: \(path): --std 0.25 wins over its metadata, which say 0.5",
        "note: \(path): mean 0.4, as its metadata say",
      ])
  }

  /// As other programs write them.
  @Test func metadataOfOthersAreUnderstood() throws {
    let path = try write(
      Self.detector().weights(),
      [
        "format": "pt", "mean": "[0.5,0.5,0.5]", "std": "[0.5,0.5,0.5]",
        "input_size": "[3, 96, 96]", "classes": "[\"fake\", \"real\"]",
      ])
    let (loaded, remarks) = try load(path)
    #expect(loaded.crop == 96 && loaded.mean == 0.5 && loaded.std == 0.5)
    #expect(remarks == ["note: \(path): mean 0.5 and std 0.5, as its metadata say"])
    let head = Self.detector().weights().first { $0.name == "fc.weight" }!.values
    #expect(
      loaded.detector.weights().first { $0.name == "fc.weight" }!.values
        == Array(head[384...] + head[..<384]))
  }

  @Test func whatNobodySaysIsAssumedAndSaid() throws {
    let path = try write(Self.detector().weights())
    let (loaded, remarks) = try load(path)
    // Its shapes say which detector it is.
    #expect(loaded.detector.name == .xceptionTiny)
    #expect(loaded.crop == 224 && loaded.mean == 0.5 && loaded.std == 0.25)
    #expect(
      remarks == [
        "note: \(path) does not say how it is used, assumed: --crop 224 --mean 0.5 --std 0.25 "
          + "--classes real,fake"
      ])
    let asked = WeightsUse(crop: 64, mean: 0.5, std: 0.5, classes: .realFake)
    #expect(try load(path, asked).remarks.isEmpty)
  }

  @Test(arguments: [
    ("mean", "imagenet", "--mean"), ("mean", "[123.675, 116.28, 103.53]", "--mean"),
    ("std", "[0.5, 0.5]", "--std"), ("std", "0", "--std"), ("std", "58.4", "--std"),
    ("crop", "large", "--crop"), ("crop", "7", "--crop"), ("input_size", "[3, 299, 300]", "--crop"),
    ("input_size", "[3, 1e300, 1e300]", "--crop"), ("classes", "cat,dog", "--classes"),
  ])
  func metadataThatCanNotBeUnderstoodAreRefusedUnlessAnOptionSays(
    key: String, text: String, option: String
  ) throws {
    let path = try write(Self.detector().weights(), [key: text])
    let message = refusal(path)
    #expect(message.contains("say \(key) '\(text)'") && message.contains(option), "\(message)")
    let all = WeightsUse(crop: 64, mean: 0.5, std: 0.5, classes: .realFake)
    #expect(throws: Never.self) { try load(path, all) }
  }

  @Test func weightsOfAnotherDetectorSayWhichTheyFit() throws {
    let path = try write(Self.detector().weights())
    let message = refusal(path, WeightsUse(model: .xception))
    #expect(
      message.hasSuffix(
        "; these are the weights of xception-tiny: use --model xception-tiny"), "\(message)")
  }

  /// Where several networks have the tensors, none is guessed, and nobody is sent from one of them to
  /// another.
  @Test func ofSeveralNetworksOfTheSameTensorsNoneIsGuessed() throws {
    let detector = Detector(.tfEfficientnetB0)
    detector.initialise(seed: 1)
    var tensors = detector.weights()
    let path = try write(tensors)
    let unsaid = refusal(path)
    #expect(
      unsaid.contains(
        "are those of efficientnet-b0, tf-efficientnet-b0 or efficientnet-pytorch-b0, which")
        && unsaid.hasSuffix("say it with --model"), "\(unsaid)")
    let tagged = try write(tensors, ["architecture": "tf_efficientnet_b0.ns_jft_in1k"])
    #expect(try load(tagged).loaded.detector.name == .tfEfficientnetB0)
    let unknown = refusal(try write(tensors, ["architecture": "efficientblur_b0"]))
    #expect(
      unknown.hasSuffix(
        "its metadata say model 'efficientblur_b0', not a network that is known here: say it with "
          + "--model"), "\(unknown)")
    let asked = try load(path, WeightsUse(model: .tfEfficientnetB0))
    #expect(asked.loaded.detector.name == .tfEfficientnetB0)
    #expect(!asked.remarks[0].contains("--model"))
    let other = refusal(path, WeightsUse(model: .resnet50))
    #expect(
      other.hasSuffix(
        "; these are the weights of efficientnet-b0, or of tf-efficientnet-b0 or "
          + "efficientnet-pytorch-b0, which have the same tensors: use --model efficientnet-b0"),
      "\(other)")
    tensors[0].values[0] = .nan
    let damaged = refusal(try write(tensors), WeightsUse(model: .tfEfficientnetB0))
    #expect(damaged.contains("not finite") && !damaged.contains("--model"), "\(damaged)")
  }

  // MARK: Heads, and what training makes of them

  private func weights(outputs: Int) throws -> String {
    let tensors = Self.detector().weights().map { tensor in
      guard tensor.name.hasPrefix("fc.") else { return tensor }
      let shape = [outputs] + tensor.shape.dropFirst()
      return NamedTensor(
        name: tensor.name, shape: shape,
        values: [Float](repeating: 0.5, count: shape.reduce(1, *)))
    }
    return try write(tensors, [:], "\(outputs).safetensors")
  }

  private func configuration(_ weights: String) throws -> Configuration {
    let writer = try ShardWriter(
      path: folder("train.h5"), height: 36, width: 36, methodNames: ["real", "swap"],
      hasSources: false)
    for method in [0, 1] {
      try writer.append(image: [UInt8](repeating: 9, count: 36 * 36 * 3), method: method)
    }
    try writer.finish()
    var configuration = Configuration()
    configuration.data.train = [folder("train.h5")]
    configuration.data.crop = 32
    configuration.model.name = .xceptionTiny
    configuration.model.weights = weights
    return configuration
  }

  private func check(_ configuration: Configuration) throws -> [String] {
    try TrainingCheck.describe(
      configuration, communicator: Communicator.world(needing: .single))
  }

  @Test(arguments: [1, 1000]) func aRandomHeadIsNeverEvaluated(outputs: Int) throws {
    let path = try weights(outputs: outputs)
    #expect(refusal(path).contains(outputs == 1 ? "one logit" : "1000 classes, as ImageNet has"))
    let said = try check(configuration(path))
    #expect(said.contains("weights 128 tensors, safetensors file"), "\(said)")
    #expect(
      said.contains { $0.hasPrefix("warning: ") && $0.contains("replaced by a fresh one") },
      "\(said)")
  }

  /// What its logits are divided by belongs to the input that it was fitted with.
  @Test func aTemperatureIsReadFromMetadataUnlessTheyAreOverruled() throws {
    let state = CheckpointState.Detector(
      name: "xception-tiny", crop: 72, mean: 0.5, std: 0.25,
      calibration: Calibration(temperature: 1.75))
    let path = try write(Self.detector().weights(), WeightsUse(state).metadata, "warm.safetensors")
    let (loaded, _) = try load(path)
    #expect(loaded.calibration?.temperature == 1.75)
    #expect(loaded.use.metadata["temperature"] == "1.75")
    #expect(try load(path, WeightsUse(std: 0.5)).loaded.calibration == nil)
    #expect(try load(path, WeightsUse(std: 0.25)).loaded.calibration != nil)
  }

  /// What a training writes says where the network ends; else options do, and nothing is guessed.
  @Test func aPatchDetectorIsReadAsItsMetadataOrOptionsSay() throws {
    let form = DetectorForm(.xceptionTiny, truncate: "block2", head: .patch)
    let detector = Detector(form)
    detector.initialise(seed: 8)
    let state = CheckpointState.Detector(
      name: "xception-tiny", crop: 72, mean: 0.5, std: 0.25, truncate: "block2", head: .patch)
    #expect(state.form == form)
    let metadata = WeightsUse(state).metadata
    #expect(metadata["truncate"] == "block2" && metadata["head"] == "patch")
    let said = try write(detector.weights(), metadata, "said.safetensors")
    let (loaded, remarks) = try load(said)
    #expect(loaded.detector.form == form && loaded.crop == 72 && remarks.isEmpty, "\(remarks)")
    #expect(loaded.detector.weights() == detector.weights())

    let bare = try write(detector.weights(), [:], "bare.safetensors")
    let asked = WeightsUse(
      crop: 72, mean: 0.5, std: 0.25, classes: .realFake, head: .patch, truncate: "block2")
    #expect(try load(bare, asked).loaded.detector.form == form)
    #expect(refusal(bare).contains("missing"))
    var unsaid = asked
    unsaid.head = nil
    #expect(refusal(bare, unsaid).contains("is a 1×1 convolution, and nothing says"))
    var wrong = asked
    wrong.model = .xceptionTiny
    wrong.truncate = "block9"
    #expect(refusal(bare, wrong).contains("--truncate is 'block9', no stage of xception-tiny"))
    let odd = try write(
      detector.weights(), ["model": "resnet18", "truncate": "block2"], "odd.safetensors")
    #expect(refusal(odd).contains("truncate of its metadata is 'block2', no stage of resnet18"))
    // The whole network has no head for it.
    let whole = try write(Self.detector().weights(), [:], "whole.safetensors")
    wrong.truncate = "block2"
    #expect(refusal(whole, wrong).contains("it holds the whole xception-tiny"))
    var configuration = try configuration(whole)
    configuration.model.truncate = "block2"
    configuration.model.head = .patch
    let lines = try check(configuration)
    #expect(lines.contains { $0.contains("tensors behind block2 are left aside") }, "\(lines)")
  }

  @Test func oneLogitIsTakenByAnOptionAndByASetting() throws {
    let path = try weights(outputs: 1)
    let (loaded, _) = try load(path, WeightsUse(head: .sigmoid))
    #expect(loaded.detector.weights().first { $0.name == "fc.bias" }!.values == [0, 0.5])
    var configuration = try configuration(path)
    configuration.model.head = .sigmoid
    configuration.model.classes = .fakeReal
    let detector = Detector(.xceptionTiny)
    let remarks = try InitialWeights.load(path, configuration, into: detector).remarks
    #expect(remarks.isEmpty, "\(remarks)")
    #expect(detector.weights().first { $0.name == "fc.bias" }!.values == [0.5, 0])
  }

  /// What `rfm train --check` says is what the training would.
  @Test func aCheckFindsWhatTheTrainingFinds() throws {
    let usual = Self.detector().weights()
    func changed(_ change: (inout NamedTensor) -> Void) -> [NamedTensor] {
      usual.map {
        var tensor = $0
        change(&tensor)
        return tensor
      }
    }
    let cases: [(tensors: [NamedTensor], words: String)] = [
      (
        changed { if $0.name == "block1.skip.weight" { $0.values[3] = .nan } }, "block1.skip.weight"
      ),
      (usual.filter { $0.name != "conv3.conv1.weight" }, "conv3.conv1.weight"),
      (usual + [NamedTensor(name: "x.y", shape: [1], values: [0])], "x.y"),
    ]
    for (tensors, words) in cases {
      let configuration = try configuration(write(tensors))
      let error = #expect(throws: WeightsError.self) { try check(configuration) }
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
    let mobile = Detector(.mobilenetV2)
    mobile.initialise(seed: 1)
    let another = try configuration(write(mobile.weights()))
    let error = #expect(throws: WeightsError.self) { try check(another) }
    #expect(
      error?.description.hasSuffix(
        "; these are the weights of mobilenet-v2: use model.name: mobilenet-v2") == true,
      "\(String(describing: error))")
    let prefixed = changed { $0.name = "module." + $0.name }
    let said = try check(configuration(write(prefixed)))
    #expect(said.contains { $0.hasPrefix("note: ") && $0.contains("'module.'") }, "\(said)")
  }

  /// EfficientNets of several programs have the same tensors; which one a file says it is, is said.
  @Test(arguments: ["efficientnet_b0", "tf_efficientnet_b0", nil])
  func aTrainingSaysWhereItsNetworkIsNotTheFiles(architecture: String?) throws {
    let detector = Detector(.efficientnetB0)
    detector.initialise(seed: 1)
    let path = try write(
      detector.weights(), architecture.map { ["architecture": $0] } ?? [:])
    var configuration = try configuration(path)
    configuration.model.name = .efficientnetB0
    let said = try check(configuration)
    #expect(
      said.contains {
        $0.hasPrefix("warning: ") && $0.contains("say model tf-efficientnet-b0; this training has")
      } == (architecture == "tf_efficientnet_b0"), "\(said)")
  }

  // MARK: Channels

  /// Pixels and input are each other's inverse in each channel.
  @Test func examplesHaveTheColoursOfTheirImages() {
    let normalisation = PixelNormalisation(
      mean: .init(red: 0.485, green: 0.456, blue: 0.406),
      std: .init(red: 0.229, green: 0.224, blue: 0.225))
    let pixels = (0..<16 * 16 * 3).map { UInt8($0 % 256) }
    let image = normalisation.input(of: pixels).withUnsafeBufferPointer {
      normalisation.image($0, side: 16)
    }
    #expect(image.pixels == pixels)
  }
}
