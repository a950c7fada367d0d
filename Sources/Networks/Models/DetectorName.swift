/// Detectors by name. A new one is a case here, a declaration in a file of its own, and a line in
/// each of the two switches below.
public enum DetectorName: String, Sendable, CaseIterable, Codable {
  /// Xception (Chollet 2017), 20.8 million parameters.
  case xception
  /// The same topology, narrow and shallow, for smoke runs: 0.4 million parameters.
  case xceptionTiny = "xception-tiny"
  /// Residual networks (He et al. 2016), as torchvision and timm have them.
  case resnet18
  case resnet34
  case resnet50
  /// EfficientNets (Tan and Le 2019), as timm has them.
  case efficientnetB0 = "efficientnet-b0"
  case efficientnetB4 = "efficientnet-b4"
  /// The same as timm's `tf_efficientnet_*`: with TensorFlow's padding and ε.
  case tfEfficientnetB0 = "tf-efficientnet-b0"
  case tfEfficientnetB4 = "tf-efficientnet-b4"
  /// The same as the package efficientnet_pytorch has them.
  case efficientnetPyTorchB0 = "efficientnet-pytorch-b0"
  case efficientnetPyTorchB4 = "efficientnet-pytorch-b4"
  /// The package's B4 as DeepfakeBench changes it.
  case deepfakebenchEfficientnetB4 = "deepfakebench-efficientnet-b4"
  /// MobileNetV2 (Sandler et al. 2018), timm's `mobilenetv2_100`.
  case mobilenetV2 = "mobilenet-v2"
  /// VGG-16 with batch norms (Simonyan and Zisserman 2015) and one linear layer for a head.
  case vgg16BN = "vgg16-bn"
  /// ConvNeXt-T (Liu et al. 2022), as timm has it.
  case convnextTiny = "convnext-tiny"
  /// MesoInception-4 (Afchar et al. 2018), with DeepfakeBench's names.
  case mesoInception4 = "meso-inception4"

  /// Its layers.
  var graph: NetworkGraph {
    switch self {
    case .xception, .xceptionTiny: .xception(widths)
    case .resnet18: .resnet(blocks: [2, 2, 2, 2], isBottleneck: false)
    case .resnet34: .resnet(blocks: [3, 4, 6, 3], isBottleneck: false)
    case .resnet50: .resnet(blocks: [3, 4, 6, 3], isBottleneck: true)
    case .efficientnetB0: .efficientnet(.b0, .timm)
    case .efficientnetB4: .efficientnet(.b4, .timm)
    case .tfEfficientnetB0: .efficientnet(.b0, .tensorflow)
    case .tfEfficientnetB4: .efficientnet(.b4, .tensorflow)
    case .efficientnetPyTorchB0: .efficientnet(.b0, .package)
    case .efficientnetPyTorchB4: .efficientnet(.b4, .package)
    case .deepfakebenchEfficientnetB4: .efficientnet(.b4, .deepfakeBench)
    case .mobilenetV2: .mobilenetV2()
    case .vgg16BN: .vgg16BN()
    case .convnextTiny: .convnextTiny()
    case .mesoInception4: .mesoInception4()
    }
  }

  /// What other programs call its layers.
  var publishedNames: PublishedNames {
    switch self {
    case .xception, .xceptionTiny: .xception
    case .resnet18, .resnet34, .resnet50: .resnet
    case .efficientnetB0, .efficientnetB4, .tfEfficientnetB0, .tfEfficientnetB4: .efficientnet
    case .efficientnetPyTorchB0: .efficientnetPackage(.b0)
    case .efficientnetPyTorchB4: .efficientnetPackage(.b4)
    case .deepfakebenchEfficientnetB4: .deepfakeBenchEfficientnet(.b4)
    case .mobilenetV2: .mobilenetV2
    case .vgg16BN: .vgg16BN
    case .convnextTiny: .convnext
    case .mesoInception4: .mesoInception4
    }
  }

  /// The smallest crop that any network takes.
  public static let smallestCrop = 32

  /// Crops that it takes, in pixels: from what leaves every map at least one pixel, or the one that its
  /// last layers are made for.
  public var crops: ClosedRange<Int> { self == .mesoInception4 ? 256...256 : 32...4096 }

  /// The same in words.
  public var cropsText: String {
    crops.count == 1 ? "\(crops.lowerBound)" : "\(crops.lowerBound) to \(crops.upperBound)"
  }

  /// What is assumed where nobody says.
  public var usualCrop: Int { crops.contains(224) ? 224 : crops.lowerBound }

  /// It ends in an average over a map and a linear layer, so that each class has an activation map.
  public var hasActivationMaps: Bool { graph.features != nil }
}
