extension NetworkGraph {
  /// VGG-16 with batch norms (Simonyan and Zisserman 2015) as torchvision's and timm's `vgg16_bn`, but
  /// for its end: the average over the last map and one linear layer stand in place of three over a map
  /// of 7×7, which held nine tenths of the parameters and one crop.
  static func vgg16BN() -> NetworkGraph {
    var net = NetworkBuilder()
    var x = net.image
    // `features` numbers convolution, norm, ReLU and pooling in turn.
    var place = 0
    for (width, count) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
      for _ in 0..<count {
        x = net.convolution(
          "features.\(place)", x, width, Window(3, padding: .zeros(1)), bias: true)
        x = net.relu(net.batchNorm("features.\(place + 1)", x))
        // Not before the last pooling: from the tensors nobody could tell that network from the whole
        // one, whose head is made for the map behind it.
        if place + 3 < 43 { net.stage("features.\(place + 2)", x) }
        place += 3
      }
      x = net.maximumPool(x, Window(2, stride: 2))
      net.stage("features.\(place)", x)
      place += 1
    }
    return net.graph(head: "fc", of: net.globalAverage(x))
  }
}

extension PublishedNames {
  /// torchvision and timm have the names here; their linear layers have no place.
  static let vgg16BN = PublishedNames(
    head: "fc", otherHeads: ["last_linear"], extras: ["classifier.", "pre_logits.", "head."])
}
