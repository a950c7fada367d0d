extension NetworkGraph {
  /// Residual networks (He et al. 2016) as torchvision and timm declare them: the stride is that of the
  /// 3×3 convolution.
  ///
  /// - Parameters:
  ///   - blocks: of each of the four stages.
  ///   - isBottleneck: a block is 1×1, 3×3, 1×1, the last four times as wide; else 3×3, 3×3.
  static func resnet(blocks: [Int], isBottleneck: Bool) -> NetworkGraph {
    var net = NetworkBuilder()
    var x = net.convolution("conv1", net.image, 64, Window(7, stride: 2, padding: .zeros(3)))
    x = net.relu(net.batchNorm("bn1", x))
    x = net.maximumPool(x, Window(3, stride: 2, padding: .zeros(1)))
    let last = Double(blocks.reduce(0, +) - 1)
    var number = 0.0
    for (stage, count) in blocks.enumerated() {
      let width = 64 << stage
      for block in 0..<count {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let outputs = isBottleneck ? 4 * width : width
        let wide = Window(3, stride: stride, padding: .zeros(1))
        var y: NetworkBuilder.Value
        if isBottleneck {
          y = net.convolution("\(name).conv1", x, width, Window(1))
          y = net.relu(net.batchNorm("\(name).bn1", y))
          y = net.convolution("\(name).conv2", y, width, wide)
          y = net.relu(net.batchNorm("\(name).bn2", y))
          y = net.convolution("\(name).conv3", y, outputs, Window(1))
          y = net.batchNorm("\(name).bn3", y)
        } else {
          y = net.convolution("\(name).conv1", x, width, wide)
          y = net.relu(net.batchNorm("\(name).bn1", y))
          y = net.convolution("\(name).conv2", y, width, Window(3, padding: .zeros(1)))
          y = net.batchNorm("\(name).bn2", y)
        }
        if stride != 1 || x.channels != outputs {
          x = net.convolution("\(name).downsample.0", x, outputs, Window(1, stride: stride))
          x = net.batchNorm("\(name).downsample.1", x)
        }
        x = net.relu(net.residual(y, x, share: number / last))
        number += 1
      }
      net.stage("layer\(stage + 1)", x)
    }
    return net.graph(head: "fc", of: net.globalAverage(x))
  }
}

extension PublishedNames {
  /// torchvision and timm have the names here. DeepfakeBench numbers torchvision's layers, and calls
  /// the head `fc` beside them.
  static let resnet = PublishedNames(
    head: "fc", otherHeads: ["last_linear", "classifier", "head.fc", "head"],
    extras: ["adjust_channel."],
    tables: [
      [
        "conv1.": "0.", "bn1.": "1.", "layer1.": "4.", "layer2.": "5.", "layer3.": "6.",
        "layer4.": "7.",
      ]
    ])
}
